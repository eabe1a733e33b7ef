/** Lines that BPF programs trace. */
import { nullable, strict, takeQuery } from './common.ts';
import { Type } from './type.ts';

export const TracePipeLines = Type.Object(
  {
    lines: Type.Array(
      Type.Object({
        line: Type.String({ description: 'As the kernel prints it' }),
        text: Type.String({ description: 'What bpf_trace_printk or bpf_trace_vprintk was given, formatted' }),
        cpu: Type.Integer(),
        timeNs: Type.String({ description: 'bpf_ktime_get_ns when it was written' }),
        attachment: nullable(Type.String({ description: 'Whose program wrote it; null for a run by itself' })),
        program: nullable(Type.String({ description: 'The program of a run by itself' })),
      }),
    ),
    lost: Type.Integer({ description: 'Lines that made room for newer ones since lines were taken last' }),
    available: Type.Integer({ description: 'Lines behind them that are still there' }),
  },
  { title: 'TracePipeLines' },
);

export const TracePipeQuery = Type.Object(takeQuery('line'), strict);
