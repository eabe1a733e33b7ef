/** How requests are validated: nothing is dropped, coerced or filled in, and the first error is told. */
export const VALIDATION = {
  removeAdditional: false,
  coerceTypes: false,
  useDefaults: false,
  allErrors: false,
  strictTypes: false,
  keywords: ['isPlace'],
  meta: false,
  validateSchema: false,
};
