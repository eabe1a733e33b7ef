/** The picture of kernel text: executable sections from left to right, top to bottom, one cell for so many bytes. */
const KIND_COLOURS = {
  kprobe: '#ff7a90',
  kretprobe: '#ff9e64',
  kprobe_multi: '#f7768e',
  kretprobe_multi: '#e0af68',
  fprobe: '#d7a65f',
  ftrace: '#7aa2f7',
  ftrace_direct: '#2ac3de',
  fentry: '#9ece6a',
  fexit: '#73daca',
  fmod_ret: '#bb9af7',
  livepatch: '#ff5ecb',
};
export const colourOf = (kind) => KIND_COLOURS[kind] ?? '#ffd866';

const SECTION_COLOURS = ['#212d4d', '#1c3d44', '#33275a', '#4a3a22', '#43263f', '#24442f'];
const ROWS_MAX = 22;
const GAP = 1;

/** @param {HTMLCanvasElement} canvas */
export function createMap(canvas, { onHover, onPick }) {
  let sections = [];
  let sites = [];
  let layout = { columns: 1, rows: 1, cell: 10, bytes: 1, total: 0 };
  let hovered = -1;

  const offsetOf = (address) => {
    for (const s of sections) if (address >= s.start && address < s.end) return s.at + Number(address - s.start);
    return -1;
  };
  const sectionAt = (offset) => sections.find((s) => offset >= s.at && offset < s.at + s.size);

  function place() {
    const width = canvas.clientWidth;
    const cell = width < 700 ? 8 : 11;
    const columns = Math.max(1, Math.floor(width / cell));
    const total = sections.reduce((sum, s) => sum + s.size, 0);
    const bytes = Math.max(1, Math.ceil(total / (columns * ROWS_MAX)));
    const rows = Math.max(1, Math.ceil(total / bytes / columns));
    layout = { columns, rows, cell: width / columns, bytes, total };
    const scale = window.devicePixelRatio || 1;
    const height = rows * layout.cell;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext('2d').setTransform(scale, 0, 0, scale, 0, 0);
  }

  const box = (index) => {
    const { columns, cell } = layout;
    return [(index % columns) * cell, Math.floor(index / columns) * cell, cell - GAP, cell - GAP];
  };

  function owned() {
    const cells = new Map();
    for (const site of sites) {
      const offset = offsetOf(BigInt(site.address));
      if (offset < 0) continue;
      const index = Math.floor(offset / layout.bytes);
      cells.set(index, [...(cells.get(index) ?? []), site]);
    }
    return cells;
  }

  function drawOwned(context, index, here) {
    const [x, y, w, h] = box(index);
    const kinds = [...new Set(here.flatMap((s) => s.owners.map((o) => o.kind)))];
    const colours = here.some((s) => s.quarantined) ? ['#ffffff'] : kinds.map(colourOf);
    context.save();
    context.shadowColor = colours[0] ?? '#ffd866';
    context.shadowBlur = 9;
    const step = h / Math.max(1, colours.length);
    (colours.length === 0 ? ['#ffd866'] : colours).forEach((colour, i) => {
      context.fillStyle = colour;
      context.fillRect(x, y + i * step, w, step);
    });
    context.restore();
  }

  function draw() {
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, canvas.width, canvas.height);
    const cells = Math.ceil(layout.total / layout.bytes);
    for (let i = 0; i < cells; i++) {
      const section = sectionAt(i * layout.bytes);
      context.fillStyle = SECTION_COLOURS[sections.indexOf(section) % SECTION_COLOURS.length] ?? '#1d2740';
      context.fillRect(...box(i));
    }
    for (const [index, here] of owned()) drawOwned(context, index, here);
    if (hovered >= 0) {
      context.strokeStyle = '#fff';
      const [x, y, w, h] = box(hovered);
      context.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
    }
  }

  const cellAt = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    const index = Math.floor((event.clientY - top) / layout.cell) * layout.columns + Math.floor((event.clientX - left) / layout.cell);
    return index * layout.bytes < layout.total ? index : -1;
  };
  const describe = (index) => {
    const section = sectionAt(index * layout.bytes);
    if (section === undefined) return undefined;
    const address = section.start + BigInt(Math.max(0, index * layout.bytes - section.at));
    return { address: `0x${address.toString(16).padStart(16, '0')}`, section: section.name, sites: owned().get(index) ?? [] };
  };

  canvas.addEventListener('mousemove', (event) => {
    hovered = cellAt(event);
    draw();
    onHover(hovered < 0 ? undefined : describe(hovered));
  });
  canvas.addEventListener('mouseleave', () => {
    hovered = -1;
    draw();
    onHover(undefined);
  });
  canvas.addEventListener('click', (event) => {
    const found = describe(cellAt(event));
    if (found !== undefined) onPick(found.sites[0]?.address ?? found.address);
  });
  window.addEventListener('resize', () => {
    place();
    draw();
  });

  return {
    setImage(image) {
      let at = 0;
      sections = image.sections
        .filter((s) => s.executable && s.size > 0)
        .map((s) => {
          const start = BigInt(s.address);
          const section = { name: s.name, start, end: start + BigInt(s.size), at, size: s.size };
          at += s.size;
          return section;
        });
      place();
      draw();
      return { bytes: layout.bytes, total: layout.total, sections: sections.map((s, i) => ({ name: s.name, colour: SECTION_COLOURS[i % SECTION_COLOURS.length] })) };
    },
    setSites(next) {
      sites = next;
      draw();
    },
  };
}
