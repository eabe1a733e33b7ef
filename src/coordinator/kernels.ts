/** What this service knows about kernel versions, for people: the versions, and the facts in which they differ. */
import {
  BUILT_KERNELS,
  EVIDENCE,
  factAt,
  factsOfRule,
  KERNEL_FACTS,
  type KernelFact,
  latestOf,
  type Rule,
  type World,
} from '../registry/index.ts';

/** Something that kernel versions decide differently. */
export interface FactView {
  readonly name: string;
  readonly title: string;
  readonly linux: string;
  /** Ids of the rules that rest on it. */
  readonly rules: readonly string[];
  /** From which release on it has which value, oldest first; `unknown` where no source settles it. */
  readonly values: readonly { readonly since: string; readonly value: string; readonly source: string }[];
}

/** A rule goes over the wire as the registry has it, with the facts that say for which kernels. */
export interface RuleView extends Rule {
  readonly facts?: readonly FactView[];
}

export interface KernelsView {
  /** Release of the loaded image, and the version whose rules decide for it. */
  readonly image: string;
  readonly rules: string;
  /** Versions that `?kernel=` takes, at their latest point release. */
  readonly versions: readonly {
    readonly version: string;
    /** How its answers are known. */
    readonly evidence: string;
    readonly decides: readonly {
      readonly fact: string;
      readonly value: string;
      readonly since: string;
      readonly source: string;
    }[];
  }[];
  /** `here`: the value that holds for the loaded image. */
  readonly facts: readonly (FactView & { readonly here: string })[];
}

type AnyFact = KernelFact<string | number | boolean>;

export const factView = ({ name, title, linux, rules, values }: AnyFact): FactView => ({
  name,
  title,
  linux,
  rules,
  values: values.map(({ since, is, source }) => ({ since, value: String(is), source })),
});

/** A rule with the facts that say where it holds. */
export const ruleView = (rule: Rule): RuleView => ({ ...rule, facts: factsOfRule(rule.id).map(factView) });

export const kernelsView = (world: World): KernelsView => ({
  image: world.image.release,
  rules: world.kernel,
  versions: BUILT_KERNELS.map((version) => ({
    version,
    evidence: EVIDENCE[version],
    decides: KERNEL_FACTS.map((fact) => {
      const { is, since, source } = factAt(fact, latestOf(version));
      return { fact: fact.name, value: String(is), since, source };
    }),
  })),
  facts: KERNEL_FACTS.map((fact) => ({ ...factView(fact), here: String(world.fact(fact)) })),
});
