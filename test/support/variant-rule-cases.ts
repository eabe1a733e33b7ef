/** What is refused of the variants that Linux did not take, without them and with them. */
import type { Fault } from '../../src/base/index.ts';
import { RegistryLab } from './registry-lab.ts';
import type { RuleCase } from './static-rule-cases.ts';

const F = 'tcp_set_state';

const withVariants = ({ world }: RegistryLab): RegistryLab => new RegistryLab(world.image, world.strictness, true);

/** The second comes to a site of the first, which the other way round is refused as well. */
function afterStackChanging(lab: RegistryLab): Fault {
  const other = withVariants(lab);
  other.attach('fentry', F, {}, 'first');
  other.refused('ftrace', F, { changesStack: true });
  const variants = withVariants(lab);
  variants.attach('ftrace', F, { changesStack: true }, 'stack');
  return variants.refused('kprobe', F);
}

export const VARIANT_CASES: Readonly<Record<string, RuleCase>> = {
  'ftrace.changes-stack.not-taken': { refuse: (lab) => lab.refused('ftrace', F, { changesStack: true }) },
  'ftrace.changes-stack.alone': { refuse: afterStackChanging, holders: ['stack'] },
  'kprobe.full-regs.not-taken': { refuse: (lab) => lab.refused('kprobe', F, { fullRegs: false }) },
  'kprobe.full-regs.entry-only': {
    refuse: (lab) => withVariants(lab).refused('kprobe', `${F}+0x9`, { fullRegs: false }),
  },
};
