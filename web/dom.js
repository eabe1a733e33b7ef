/** Builds elements; text is always text, never markup. */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === 'class') node.className = value;
    else if (key.startsWith('data-')) node.setAttribute(key, value);
    else if (key === 'colour') Object.assign(node.style, { color: value, borderColor: value });
    else node[key] = value;
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);
export const number = (n) => n.toLocaleString('en-US');
export const clock = (iso) => (iso ? new Date(iso).toLocaleTimeString('en-GB') : '');
