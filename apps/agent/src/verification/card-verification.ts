/**
 * Proves a finished card like a terminal would, before anybody may take it (DESIGN §6, verify).
 *
 * Invariants: every check names itself in the verdicts; the first failure ends the reading; exactly one cryptogram
 * is asked for, with a signature over it, so that DDA, CDA and the issuer's key are all proven for one count of
 * the ATC; nothing sensitive leaves this module unmasked.
 */
import { createHash } from 'node:crypto';
import { type ApduChannel } from '@cardwright/devices';
import {
  buildDolData,
  EmvError,
  encodeTlv,
  findTag,
  hex,
  parseAfl,
  primitiveNodes,
  type RsaPublicKeyBytes,
  type TlvNode,
  transactionDataHash,
  uintBytes,
  unhex,
  verifyCda,
  verifyDda,
} from '@cardwright/emv';
import {
  type ChipIdentity,
  type CryptogramEvidence,
  type CryptogramVerdict,
  type VerificationFacts,
} from '@cardwright/protocol';
import { type CardContents, checkCertificateChain } from './certificate-chain.ts';
import {
  type ChipReport,
  type ReportedTag,
  reportedTags,
  type VerdictName,
  verdictNames,
} from './chip-report.ts';
import {
  CardRefusal,
  generateSignedArqc,
  getData,
  getProcessingOptions,
  internalAuthenticate,
  parseRecord,
  readDirectory,
  readRecord,
  requireTag,
  selectByName,
} from './terminal.ts';

export interface CardVerification {
  readonly channel: ApduChannel;
  readonly facts: VerificationFacts;
  readonly chip: ChipIdentity;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Asks the vault, through the server, whether the cryptogram is this card's. */
  readonly confirm: (evidence: Omit<CryptogramEvidence, 'epoch'>) => Promise<CryptogramVerdict>;
}

export interface VerificationResult {
  readonly isProven: boolean;
  readonly report: ChipReport;
}

/** A check failed: ends the reading, becomes the check's verdict. */
class CheckFailure extends Error {
  override readonly name = 'CheckFailure';
  readonly check: VerdictName;
  readonly reason: string;

  constructor(check: VerdictName, reason: string) {
    super(`${check}: ${reason}`);
    this.check = check;
    this.reason = reason;
  }
}

function demand(holds: boolean, check: VerdictName, reason: string): void {
  if (!holds) throw new CheckFailure(check, reason);
}

/** Terminal side of the one transaction: a purchase of one unit in the card's own currency. */
const terminalValues: ReadonlyMap<string, string> = new Map([
  ['9F02', '000000000100'],
  ['9F03', '000000000000'],
  ['95', '0000000000'],
  ['9C', '00'],
]);
const defaultDdol = unhex('9F3704');

/**
 * Reads and proves the card.
 * @throws DeviceFault when reader or chip give no answer; StationRefusal or LinkFault from `confirm`
 */
export async function verifyCard(verification: CardVerification): Promise<VerificationResult> {
  const reading = new CardReading(verification);
  const isProven = await reading.run();
  return { isProven, report: reading.report() };
}

class CardReading {
  readonly #given: CardVerification;
  readonly #tags: ReportedTag[] = [];
  readonly #verdicts: Record<VerdictName, string>;
  readonly #timings: Record<string, number> = {};
  #current: VerdictName = 'directory';

  constructor(given: CardVerification) {
    this.#given = given;
    this.#verdicts = Object.fromEntries(verdictNames.map((name) => [name, 'NOT_CHECKED'])) as Record<
      VerdictName,
      string
    >;
  }

  report(): ChipReport {
    const { chip, facts } = this.#given;
    return {
      chip,
      application: facts.aid,
      tags: this.#tags,
      verdicts: this.#verdicts,
      timings: this.#timings,
    };
  }

  async run(): Promise<boolean> {
    try {
      await this.#timed('directoriesMs', () => this.#readDirectories());
      const { contents, pdolData } = await this.#timed('recordsMs', () => this.#readApplication());
      const iccKey = await this.#timed('certificatesMs', () =>
        Promise.resolve(this.#checkCertificates(contents)),
      );
      await this.#timed('dynamicAuthenticationMs', () => this.#authenticate(contents, iccKey));
      await this.#timed('cryptogramMs', () => this.#checkCryptogram(contents, pdolData, iccKey));
      await this.#timed('countersMs', () => this.#checkCounters());
      return true;
    } catch (error) {
      if (error instanceof CheckFailure) this.#verdicts[error.check] = error.reason;
      else if (error instanceof CardRefusal) this.#verdicts[this.#current] = error.reason;
      else if (error instanceof EmvError) this.#verdicts[this.#current] = error.code;
      else throw error;
      return false;
    }
  }

  async #readDirectories(): Promise<void> {
    const { channel, facts } = this.#given;
    const aid = unhex(facts.aid);
    this.#begin('directory');
    const pse = await selectByName(channel, unhex(facts.pseAid));
    this.#note(pse, 'PSE');
    const [sfi = 0] = requireTag(pse, '88', 'PSE');
    const entries = await readDirectory(channel, sfi);
    entries.forEach((record, index) => this.#note(record, `PSE SFI ${sfi} record ${index + 1}`));
    demand(
      entries.some((record) => names(record, aid)),
      'directory',
      'AID_NOT_LISTED',
    );
    this.#pass('directory');
    this.#begin('contactlessDirectory');
    const ppse = await selectByName(channel, unhex(facts.ppseAid));
    this.#note(ppse, 'PPSE');
    demand(names(ppse, aid), 'contactlessDirectory', 'AID_NOT_LISTED');
    this.#pass('contactlessDirectory');
  }

  async #readApplication(): Promise<{ contents: CardContents; pdolData: Uint8Array }> {
    const { channel, facts } = this.#given;
    this.#begin('application');
    const fci = await selectByName(channel, unhex(facts.aid));
    this.#note(fci, 'application');
    demand(hex(requireTag(fci, '84', 'SELECT')) === facts.aid, 'application', 'OTHER_AID');
    this.#pass('application');
    this.#begin('processingOptions');
    const pdol = findTag(fci, '9F38')?.value;
    const pdolData = pdol === undefined ? new Uint8Array(0) : buildDolData(pdol, new Map());
    const options = await getProcessingOptions(channel, pdolData);
    this.#note(options.nodes, 'GET PROCESSING OPTIONS');
    demand(hex(options.aip) === facts.aip, 'processingOptions', 'AIP_DIFFERS');
    demand(hex(options.afl) === facts.afl, 'processingOptions', 'AFL_DIFFERS');
    this.#pass('processingOptions');
    const contents = await this.#readRecords(options.aip, options.afl);
    demand(sha256(contents.objects.get('5A')) === facts.panSha256, 'cardNumber', 'DIFFERS');
    this.#pass('cardNumber');
    return { contents, pdolData };
  }

  async #readRecords(aip: Uint8Array, afl: Uint8Array): Promise<CardContents> {
    const { channel, facts } = this.#given;
    this.#begin('records');
    const records = new Map<string, Uint8Array>();
    const objects = new Map<string, Uint8Array>();
    const differing: string[] = [];
    for (const { sfi, first, last } of parseAfl(afl)) {
      for (let record = first; record <= last; record++) {
        const bytes = await readRecord(channel, sfi, record);
        const nodes = parseRecord(bytes);
        this.#note(nodes, `SFI ${sfi} record ${record}`);
        records.set(`${sfi}.${record}`, bytes);
        for (const { tag, value } of primitiveNodes(nodes)) objects.set(tag, value);
        const fact = facts.records.find((one) => one.sfi === sfi && one.record === record);
        if (fact?.sha256 !== sha256(bytes)) differing.push(`${sfi}.${record}`);
      }
    }
    demand(differing.length === 0, 'records', `DIFFER ${differing.join(' ')}`);
    demand(
      facts.records.every(({ sfi, record }) => records.has(`${sfi}.${record}`)),
      'records',
      'MISSING',
    );
    this.#pass('records');
    this.#begin('cardNumber');
    return { aip, afl, records, objects };
  }

  #checkCertificates(contents: CardContents): RsaPublicKeyBytes {
    this.#begin('issuerCertificate');
    const chain = checkCertificateChain(contents, this.#given.facts.capk, monthOf(this.#given.now()));
    if (!chain.ok && chain.part === 'issuerCertificate') throw new CheckFailure(chain.part, chain.reason);
    this.#pass('issuerCertificate');
    if (!chain.ok) throw new CheckFailure(chain.part, chain.reason);
    this.#pass('iccCertificate');
    return chain.iccKey;
  }

  async #authenticate(contents: CardContents, iccKey: RsaPublicKeyBytes): Promise<void> {
    this.#begin('dynamicAuthentication');
    const unpredictableNumber = this.#given.randomBytes(4);
    const ddolData = buildDolData(
      contents.objects.get('9F49') ?? defaultDdol,
      new Map([['9F37', unpredictableNumber]]),
    );
    const answer = await internalAuthenticate(this.#given.channel, ddolData);
    this.#note(answer, 'INTERNAL AUTHENTICATE');
    const verdict = verifyDda(iccKey, requireTag(answer, '9F4B', 'INTERNAL AUTHENTICATE'), ddolData);
    if (!verdict.ok) throw new CheckFailure('dynamicAuthentication', verdict.reason);
    this.#pass('dynamicAuthentication');
  }

  async #checkCryptogram(
    contents: CardContents,
    pdolData: Uint8Array,
    iccKey: RsaPublicKeyBytes,
  ): Promise<void> {
    const name = 'GENERATE AC';
    this.#begin('combinedAuthentication');
    const unpredictableNumber = this.#given.randomBytes(4);
    const values = this.#transactionValues(contents, unpredictableNumber);
    const cdol1Data = buildDolData(contents.objects.get('8C') ?? new Uint8Array(0), values);
    const answer = await generateSignedArqc(this.#given.channel, cdol1Data);
    this.#note(answer, name);
    const cid = requireTag(answer, '9F27', name);
    const unsigned = (findTag(answer, '77')?.children ?? [])
      .filter((node) => node.tag !== '9F4B')
      .map(encodeTlv);
    const verdict = verifyCda(iccKey, requireTag(answer, '9F4B', name), {
      unpredictableNumber,
      transactionDataHash: transactionDataHash(pdolData, cdol1Data, ...unsigned),
      cid: cid[0] ?? 0,
    });
    if (!verdict.ok) throw new CheckFailure('combinedAuthentication', verdict.reason);
    this.#pass('combinedAuthentication');
    this.#begin('cryptogram');
    const confirmed = await this.#given.confirm({
      cdol1Data: hex(cdol1Data),
      cid: hex(cid),
      atc: hex(requireTag(answer, '9F36', name)),
      arqc: hex(verdict.cryptogram),
      iad: hex(requireTag(answer, '9F10', name)),
    });
    demand(confirmed.confirmed, 'cryptogram', confirmed.reason ?? 'REFUSED');
    this.#pass('cryptogram');
  }

  #transactionValues(contents: CardContents, unpredictableNumber: Uint8Array): Map<string, Uint8Array> {
    const values = new Map([...terminalValues].map(([tag, value]) => [tag, unhex(value)] as const));
    values.set('9F1A', contents.objects.get('5F28') ?? unhex('0000'));
    values.set('5F2A', contents.objects.get('9F42') ?? unhex('0000'));
    values.set('9A', unhex(dateOf(this.#given.now())));
    values.set('9F37', unpredictableNumber);
    return values;
  }

  async #checkCounters(): Promise<void> {
    const { channel, facts } = this.#given;
    this.#begin('counters');
    const atc = await getData(channel, 0x9f36);
    const pinTries = await getData(channel, 0x9f17);
    this.#note([...atc, ...pinTries], 'GET DATA');
    // One transaction, one count: anything else means that somebody used the card before us.
    const expected = hex(uintBytes(facts.atcStart + 1, 2));
    demand(hex(requireTag(atc, '9F36', 'GET DATA')) === expected, 'counters', 'ATC_DIFFERS');
    demand((requireTag(pinTries, '9F17', 'GET DATA')[0] ?? 0) > 0, 'counters', 'PIN_BLOCKED');
    this.#pass('counters');
  }

  #note(nodes: readonly TlvNode[], source: string): void {
    this.#tags.push(...reportedTags(nodes, source, this.#given.facts.panSha256));
  }

  #begin(check: VerdictName): void {
    this.#current = check;
  }

  #pass(check: VerdictName): void {
    this.#verdicts[check] = 'ok';
  }

  async #timed<T>(part: string, action: () => Promise<T>): Promise<T> {
    const startedAt = this.#given.now();
    try {
      return await action();
    } finally {
      this.#timings[part] = this.#given.now() - startedAt;
    }
  }
}

function names(nodes: readonly TlvNode[], aid: Uint8Array): boolean {
  return primitiveNodes(nodes).some((node) => node.tag === '4F' && hex(node.value) === hex(aid));
}

function sha256(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : hex(createHash('sha256').update(bytes).digest());
}

/** YYMMDD of an instant, UTC. */
function dateOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(2, 10).replaceAll('-', '');
}

/** YYMM of an instant, UTC. */
function monthOf(nowMs: number): string {
  return dateOf(nowMs).slice(0, 4);
}
