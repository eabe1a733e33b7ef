/** What Fastify asks of Ajv and of what it compiles. */
interface Compiler {
  compile(schema: object): Validate;
}

interface Validate {
  (this: unknown, data: unknown): boolean | Promise<unknown>;
  errors?: unknown;
}

/**
 * An Ajv plugin: a schema becomes a function when the first request needs it. Compiling all of them would be a quarter of the time from start to ready,
 * and most services see few of the routes.
 */
export function compileOnFirstUse<Ajv extends Compiler>(ajv: Ajv): Ajv {
  const compile = ajv.compile.bind(ajv);
  ajv.compile = (schema) => {
    let compiled: Validate | undefined;
    const validate: Validate = function (data) {
      compiled ??= compile(schema);
      const isValid = compiled.call(this, data);
      validate.errors = compiled.errors;
      return isValid;
    };
    return validate;
  };
  return ajv;
}
