/**
 * Judges ceremony transcripts, offline, for an auditor: signatures, chain, order, custodians, check values.
 *
 * Invariant: shares no code with what writes transcripts, beyond the platform's primitives, so that a mistake there
 * is not repeated here; the rules are written a second time on purpose. Any line it does not understand is a fault.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

export interface VerifiedCeremony {
  readonly ceremonyId: string;
  readonly keyName: string;
  readonly usage: string;
  /** Where the key went, as the first line says; undefined in transcripts of earlier versions. */
  readonly keeper: string | undefined;
  readonly outcome: 'completed' | 'abandoned' | 'unfinished';
  readonly checkValue: string | undefined;
  readonly custodians: readonly { readonly component: number; readonly custodian: string }[];
  readonly from: string;
  readonly until: string;
}

export type TranscriptVerdict =
  | { readonly ok: true; readonly ceremony: VerifiedCeremony }
  /** `line` counts from 1; 0 is the file as a whole. */
  | { readonly ok: false; readonly line: number; readonly fault: string };

class TranscriptFault extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

type Fields = Readonly<Record<string, unknown>>;

interface Line {
  readonly number: number;
  readonly at: string;
  readonly event: Fields;
}

function fieldsOf(text: string, line: number): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new TranscriptFault(line, 'is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null) throw new TranscriptFault(line, 'is no object');
  return parsed as Fields;
}

function textOf(fields: Fields, name: string, line: number): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new TranscriptFault(line, `lacks ${name}`);
  return value;
}

function numberOf(fields: Fields, name: string, line: number): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new TranscriptFault(line, `lacks ${name}`);
  return value;
}

function signedLines(text: string, witness: KeyObject): Line[] {
  if (!text.endsWith('\n')) throw new TranscriptFault(0, 'the last line is cut off');
  let previous = '';
  let lastAt = '';
  return text
    .slice(0, -1)
    .split('\n')
    .map((raw, index) => {
      const number = index + 1;
      const outer = fieldsOf(raw, number);
      const entry = textOf(outer, 'entry', number);
      const encoded = textOf(outer, 'signature', number);
      const signature = Buffer.from(encoded, 'base64');
      // One spelling per line, so that nothing outside the signature can be changed either.
      const isPlain =
        signature.toString('base64') === encoded && raw === JSON.stringify({ entry, signature: encoded });
      if (!isPlain) throw new TranscriptFault(number, 'is not spelt as it was written');
      if (!verify(null, Buffer.from(entry, 'utf8'), witness, signature)) {
        throw new TranscriptFault(number, "the signature is not the witness's");
      }
      const inner = fieldsOf(entry, number);
      if (inner['format'] !== 'cardwright-key-ceremony/1')
        throw new TranscriptFault(number, 'another format');
      if (inner['sequence'] !== number) throw new TranscriptFault(number, 'is out of order');
      if (inner['previous'] !== previous)
        throw new TranscriptFault(number, 'does not follow the line before');
      const at = textOf(inner, 'at', number);
      if (Number.isNaN(Date.parse(at)) || at < lastAt) throw new TranscriptFault(number, 'goes back in time');
      previous = createHash('sha256').update(entry, 'utf8').digest('base64');
      lastAt = at;
      const { event } = inner;
      if (typeof event !== 'object' || event === null) throw new TranscriptFault(number, 'lacks event');
      return { number, at, event: event as Fields };
    });
}

const checkValueForms: Readonly<Record<string, RegExp>> = {
  'TDES-2KEY': /^TDES-ECB-0:[0-9A-F]{6}$/,
  'AES-128': /^AES-CMAC-0:[0-9A-F]{10}$/,
  'AES-256': /^AES-CMAC-0:[0-9A-F]{10}$/,
};

/** Who types the same name with other spaces, case or width is the same person. */
function person(name: string): string {
  return name.normalize('NFKC').toLowerCase().split(/\s+/).filter(Boolean).join(' ');
}

/** Follows one ceremony event by event. */
class Follower {
  readonly custodians = new Map<number, string>();
  readonly everSaw: { component: number; custodian: string }[] = [];
  outcome: VerifiedCeremony['outcome'] = 'unfinished';
  checkValue: string | undefined;
  #session: { custodian: string; component: number; entered?: string; isConfirmed: boolean } | undefined;
  #combined: string | undefined;
  readonly #count: number;
  readonly #witness: string;
  readonly #form: RegExp;

  constructor(plan: Fields) {
    this.#count = numberOf(plan, 'components', 1);
    this.#witness = person(textOf(plan, 'witness', 1));
    const form = checkValueForms[textOf(plan, 'algorithm', 1)];
    if (!form || this.#count < 2) throw new TranscriptFault(1, 'the plan is none of a ceremony');
    this.#form = form;
  }

  follow({ number, event }: Line): void {
    const must = (holds: boolean, fault: string): void => {
      if (!holds) throw new TranscriptFault(number, fault);
    };
    must(this.outcome === 'unfinished', 'comes after the end');
    const session = this.#session;
    const value = (): string => {
      const text = textOf(event, 'checkValue', number);
      must(this.#form.test(text), 'a check value of a wrong form or method');
      return text;
    };
    switch (event['type']) {
      case 'session-opened': {
        const custodian = person(textOf(event, 'custodian', number));
        const component = numberOf(event, 'component', number);
        must(session === undefined, 'two sessions at once');
        must(this.#combined === undefined, 'a session after the key was combined');
        must(custodian !== '' && custodian !== this.#witness, 'the witness, or nobody, as a custodian');
        must(component >= 1 && component <= this.#count, 'a component that is not planned');
        must(!this.custodians.has(component), 'a component for the second time');
        must(
          this.everSaw.every((one) => one.custodian !== custodian || one.component === component),
          'a custodian on a second component',
        );
        this.everSaw.push({ component, custodian });
        this.#session = { custodian, component, isConfirmed: false };
        break;
      }
      case 'component-entered':
        must(
          session !== undefined && session.entered === undefined,
          'a component outside a session, or again',
        );
        if (session) session.entered = value();
        must(event['component'] === session?.component, 'a component of another session');
        break;
      case 'component-confirmed':
        must(session?.entered !== undefined && !session.isConfirmed, 'a confirmation of nothing');
        must(value() === session?.entered, 'another check value was confirmed than entered');
        must(event['component'] === session?.component, 'a component of another session');
        if (!session) break;
        session.isConfirmed = true;
        this.custodians.set(session.component, session.custodian);
        break;
      case 'component-discarded':
        must(session?.entered !== undefined && !session.isConfirmed, 'nothing to discard');
        if (session) delete session.entered;
        break;
      case 'session-closed':
        must(session?.custodian === event['custodian'], 'closes no open session');
        must(session?.entered === undefined || session.isConfirmed, 'leaves an unconfirmed component');
        this.#session = undefined;
        break;
      case 'combined':
        must(session === undefined, 'combined while a session is open');
        must(this.custodians.size === this.#count, 'combined from too few components');
        must(new Set(this.custodians.values()).size === this.#count, 'combined from too few custodians');
        this.#combined = value();
        break;
      case 'completed':
        must(this.#combined !== undefined && value() === this.#combined, 'the key was not confirmed');
        this.outcome = 'completed';
        this.checkValue = this.#combined;
        break;
      case 'abandoned':
        this.outcome = 'abandoned';
        break;
      default:
        must(false, 'is an event that this version does not know');
    }
  }
}

/**
 * Verifies one transcript.
 * @param witnessPublicKeyPem SPKI PEM of the witness's Ed25519 key, known from elsewhere than the transcript
 */
export function verifyCeremonyTranscript(text: string, witnessPublicKeyPem: string): TranscriptVerdict {
  try {
    const witness = createPublicKey(witnessPublicKeyPem);
    if (witness.asymmetricKeyType !== 'ed25519')
      throw new TranscriptFault(0, 'the witness key is not Ed25519');
    const [first, ...rest] = signedLines(text, witness);
    if (first?.event['type'] !== 'begun') throw new TranscriptFault(1, 'does not begin a ceremony');
    const { plan } = first.event;
    if (typeof plan !== 'object' || plan === null) throw new TranscriptFault(1, 'lacks plan');
    const fields = plan as Fields;
    const { keeper } = first.event;
    if (keeper !== undefined && typeof keeper !== 'string') throw new TranscriptFault(1, 'lacks keeper');
    const follower = new Follower(fields);
    for (const line of rest) follower.follow(line);
    return {
      ok: true,
      ceremony: {
        ceremonyId: textOf(fields, 'ceremonyId', 1),
        keyName: textOf(fields, 'keyName', 1),
        usage: textOf(fields, 'usage', 1),
        keeper,
        outcome: follower.outcome,
        checkValue: follower.checkValue,
        custodians: follower.everSaw,
        from: first.at,
        until: rest.at(-1)?.at ?? first.at,
      },
    };
  } catch (error) {
    if (error instanceof TranscriptFault) return { ok: false, line: error.line, fault: error.message };
    throw error;
  }
}

/** Faults between ceremonies: one person who knew two components of one key's versions. Empty when there are none. */
export function faultsBetweenCeremonies(ceremonies: readonly VerifiedCeremony[]): readonly string[] {
  const seen = new Map<string, number>();
  const faults: string[] = [];
  for (const { keyName, custodians, ceremonyId } of ceremonies) {
    const family = keyName.replace(/\/[1-9]\d*$/, '');
    for (const { component, custodian } of custodians) {
      const key = JSON.stringify([family, custodian]);
      const before = seen.get(key);
      if (before !== undefined && before !== component) {
        faults.push(
          `${ceremonyId}: ${custodian} took component ${component} of ${family} after component ${before}`,
        );
      }
      seen.set(key, before ?? component);
    }
  }
  return faults;
}
