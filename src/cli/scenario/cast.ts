/** The clients of a scenario while it runs, and what they have attached under which name. */
import type { Client } from '../../client/index.ts';

/** `session`: secret of the lease under which the requests go out. */
export type MakeClient = (name: string, session?: string) => Client;

interface Member {
  client: Client;
  session: string | undefined;
}

export class Cast {
  readonly #make: MakeClient;
  readonly #members = new Map<string, Member>();
  /** Attachment ids by the name that the scenario gave. */
  readonly #ids = new Map<string, string>();

  constructor(make: MakeClient) {
    this.#make = make;
  }

  client(name: string): Client {
    return this.#member(name).client;
  }

  session(name: string): string | undefined {
    return this.#member(name).session;
  }

  useSession(name: string, session: string | undefined): void {
    this.#members.set(name, { client: this.#make(name, session), session });
  }

  /** `scope`: of one copy of a lane; '' for the steps outside. */
  name(scope: string, name: string, id: string): void {
    this.#ids.set(`${scope}${name}`, id);
  }

  forget(id: string): void {
    for (const [name, known] of this.#ids) if (known === id) this.#ids.delete(name);
  }

  /** A copy sees its own names first, then those of the scenario. */
  id(scope: string, name: string): string | undefined {
    return this.#ids.get(`${scope}${name}`) ?? this.#ids.get(name);
  }

  /** What a reader calls it. */
  nameOf(id: string): string {
    for (const [name, known] of this.#ids) if (known === id) return name;
    return id;
  }

  #member(name: string): Member {
    const known = this.#members.get(name);
    if (known !== undefined) return known;
    const member = { client: this.#make(name), session: undefined };
    this.#members.set(name, member);
    return member;
  }
}
