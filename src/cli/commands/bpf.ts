/** The bpf_conformance suite's plugin: memory as an argument, a program on standard input, R0 on standard output. */
import { text } from 'node:stream/consumers';
import type { Context } from '../context.ts';
import type { ExitCode } from '../io.ts';
import { problemText } from '../output.ts';
import { UsageError } from '../usage.ts';

/** Hex digits with any spaces between, as the suite's runner writes them. */
function hex(name: string, given: string): string {
  const digits = given.replace(/\s+/g, '').toLowerCase();
  if (/^([0-9a-f]{2})*$/.test(digits)) return digits;
  throw new UsageError(`The ${name} must be bytes in hex.`, given, 0);
}

/** Loads the program as type `raw`, runs it and prints R0 in hex. 1 when it is refused or does not return. */
export async function bpfConformancePlugin(
  { client, io }: Context,
  memory: string,
  options: { readonly via?: string },
): Promise<ExitCode> {
  const bytecode = hex('program', await text(process.stdin));
  const input = hex('memory', memory);
  const loaded = await client.loadProgram({ type: 'raw', bytecode });
  if (!loaded.ok) {
    io.err(problemText(loaded.problem));
    return 1;
  }
  const { id } = loaded.value;
  const via = options.via === 'interpreter' ? 'interpreter' : 'jit';
  const ran = await client.runProgram(id, { input, via });
  await client.unloadProgram(id);
  if (!ran.ok) {
    io.err(problemText(ran.problem));
    return 1;
  }
  const { returnValue, fault, exceeded } = ran.value;
  if (returnValue === null) {
    io.err(`ktextd: the program did not return: ${fault === null ? exceeded : fault.reason}\n`);
    return 1;
  }
  io.out(`${returnValue.slice(2)}\n`);
  return 0;
}
