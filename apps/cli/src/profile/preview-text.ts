/**
 * A prepared test card as text: application, files and records, data groupings with their sizes, tags by name.
 *
 * Invariant: secrets are named and measured, never shown; the plan holds none of them anyway.
 */
import { type Plan } from '@cardwright/dataprep';
import { EmvError, parseAfl, parseTlv, tagFormat, tagName, type TlvNode, unhex } from '@cardwright/emv';

type Instance = Plan['instances'][number];
type PlanDgi = Instance['dgis'][number];

const dgiNames: Readonly<Record<string, string>> = {
  '3000': 'common internal data',
  '3001': 'application internal data',
  '0D01': 'internal data',
  '0E01': 'internal data',
  '8000': 'application keys: AC, MAC, encipherment',
  '8010': 'reference PIN',
  '8201': 'ICC key: q^-1 mod p',
  '8202': 'ICC key: d mod q-1',
  '8203': 'ICC key: d mod p-1',
  '8204': 'ICC key: q',
  '8205': 'ICC key: p',
  '9000': 'key check values',
  '9010': 'PIN try counter and limit',
  '9102': 'answer to SELECT',
  '9103': 'answer to SELECT, contactless',
  '9104': 'answer to GET PROCESSING OPTIONS',
  '9200': 'answer to GENERATE AC',
  '7FFF': 'completion',
};
const keyBytes = 16;
const applicationKeyCount = 3;

const aipBits: readonly (readonly [mask: number, name: string])[] = [
  [0x40, 'SDA'],
  [0x20, 'DDA'],
  [0x10, 'cardholder verification'],
  [0x08, 'terminal risk management'],
  [0x04, 'EXTERNAL AUTHENTICATE'],
  [0x01, 'CDA'],
];

const pinBlockBytes = 8;

/** The lines of the preview. `iccKeyBits`: how long the components of the ICC key are. */
export function previewLines(plan: Plan, iccKeyBits: number): string[] {
  const facts = plan.verification;
  const aip = unhex(facts.aip)[0] ?? 0;
  const offers = aipBits.filter(([mask]) => (aip & mask) !== 0).map(([, name]) => name);
  const instances = plan.instances.flatMap((instance) => instanceLines(instance, iccKeyBits));
  return [
    `application ${facts.aid}`,
    `AIP ${facts.aip}  ${offers.join(', ')}`,
    `AFL ${facts.afl}`,
    ...parseAfl(unhex(facts.afl)).map(
      ({ sfi, first, last, odaRecords }) =>
        `  SFI ${sfi}: records ${first} to ${last}, ${odaRecords === 0 ? 'none' : odaRecords} signed`,
    ),
    `cryptogram: IAD of ${plan.cryptogram.iadBytes} bytes that begins ${plan.cryptogram.iadPrefix}, UDK option ${plan.udk.option}`,
    `secure channels: ${plan.secureChannels.map(({ protocol }) => protocol).join(', ')}`,
    ...(plan.stripe === undefined ? [] : [stripeLine(plan.stripe)]),
    '',
    ...instances,
  ];
}

function stripeLine({ track1, track2 }: NonNullable<Plan['stripe']>): string {
  return `stripe: track 1 of ${track1.length} characters, track 2 of ${track2.length}`;
}

function instanceLines({ label, aid, dgis }: Instance, iccKeyBits: number): string[] {
  return [`${label} ${aid}`, ...dgis.flatMap((dgi) => dgiLines(dgi, label, iccKeyBits)), ''];
}

function dgiLines(dgi: PlanDgi, label: string, iccKeyBits: number): string[] {
  const head = (bytes: number, note = ''): string =>
    `  ${dgi.id}  ${String(bytes).padStart(3)} bytes  ${dgiName(dgi.id)}${note}`;
  switch (dgi.kind) {
    case 'udk':
      return [head(applicationKeyCount * keyBytes, ' [enciphered for the card]')];
    case 'pin':
      return [head(pinBlockBytes, ' [padded, enciphered for the card]')];
    case 'icc-crt':
      return [head(iccKeyBits / 16, ' [padded, enciphered for the card]')];
    case 'clear': {
      const value = unhex(dgi.value);
      const isTagged = !(label === 'APP' && ['9000', '9010'].includes(dgi.id));
      return [head(value.length), ...(isTagged ? tagLines(value, 3) : [`      ${dgi.value}`])];
    }
  }
}

function dgiName(id: string): string {
  const sfi = Number.parseInt(id.slice(0, 2), 16);
  const known = dgiNames[id];
  if (known !== undefined) return known;
  return sfi >= 1 && sfi <= 30 ? `SFI ${sfi} record ${Number.parseInt(id.slice(2), 16)}` : 'application data';
}

function tagLines(value: Uint8Array, depth: number): string[] {
  try {
    return parseTlv(value).flatMap((node) => nodeLines(node, depth));
  } catch (error) {
    if (error instanceof EmvError) return ['  '.repeat(depth) + '(no TLV data)'];
    throw error;
  }
}

function nodeLines(node: TlvNode, depth: number): string[] {
  const head = `${'  '.repeat(depth)}${node.tag.padEnd(4)}  ${tagName(node.tag)}`;
  if (node.children.length > 0)
    return [head, ...node.children.flatMap((child) => nodeLines(child, depth + 1))];
  return [`${head}: ${shownValue(node)}`];
}

const longestShown = 32;

function shownValue({ tag, value }: TlvNode): string {
  const format = tagFormat(tag);
  const isText = (format === 'an' || format === 'ans') && value.every((byte) => byte >= 0x20 && byte < 0x7f);
  if (isText) return `"${Buffer.from(value).toString('latin1')}"`;
  const shown = Buffer.from(value.subarray(0, longestShown)).toString('hex').toUpperCase();
  return value.length > longestShown ? `${shown}… (${value.length} bytes)` : shown;
}
