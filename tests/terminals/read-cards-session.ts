/**
 * Inside the private namespace: puts one personalized card after the other into the virtual reader, lets programs
 * that were not written for it read each, and prints what they saw as JSON. Decides nothing.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectVpcd } from '@cardwright/card';
import { productProfiles } from '@cardwright/dataprep';
import { luhnCheckDigit } from '@cardwright/domain';
import { encipherPinBlockFormat4, findTag, hex, parseAfl, parseTlv, unhex } from '@cardwright/emv';
import { type Card, personalize } from '../../packages/dataprep/test/personalized-card.ts';
import {
  certificateFor,
  issuerPinKey,
  type KeyFixture,
  openKeyFixture,
  planFor,
} from '../../packages/dataprep/test/key-fixture.ts';
import { type CardReading, type Exchange } from './card-reading.ts';
import { readerName, readerPort, runClient, startPcsc } from './private-pcsc.ts';

const pseAid = '315041592E5359532E4444463031';
const ppseAid = '325041592E5359532E4444463031';
const pin = '4711';

const apdu = (header: string, data: string): string =>
  `${header}${(data.length / 2).toString(16).padStart(2, '0').toUpperCase()}${data}`;
const select = (aid: string): string => `${apdu('00A40400', aid)}00`;
const readRecord = (sfi: number, record: number): string =>
  `00B2${hex(Uint8Array.of(record, (sfi << 3) | 4))}00`;

/** Sends commands with scriptor (pcsc-tools); one answer for each. */
async function script(commands: readonly string[]): Promise<Exchange[]> {
  const lines = commands.map((command) => command.match(/../g)?.join(' ') ?? '');
  const output = await runClient('scriptor', ['-r', readerName], `${lines.join('\n')}\n`);
  // "< 6F 1A ... 90 00 : Normal processing.", long answers over several lines.
  const answers = output
    .split(/^> /m)
    .slice(1)
    .map((block) => (block.split(/^< /m)[1] ?? '').replace(/ : [\s\S]*$/, '').replace(/[^0-9A-F]/g, ''));
  return commands.map((command, at) => ({ command, answer: answers[at] ?? '' }));
}

/** As a terminal: what the directory says is selected, what the AFL says is read. */
async function walk(): Promise<Exchange[]> {
  const begun = await script([select(pseAid), readRecord(1, 1), select(ppseAid)]);
  const aid = hex(
    findTag(parseTlv(unhex((begun[1]?.answer ?? '').slice(0, -4))), '4F')?.value ?? new Uint8Array(),
  );
  const initiate = [select(aid), '80A8000002830000'];
  const options = parseTlv(unhex(((await script(initiate))[1]?.answer ?? '').slice(0, -4)));
  const records = parseAfl(findTag(options, '94')?.value ?? new Uint8Array()).flatMap(
    ({ sfi, first, last }) =>
      Array.from({ length: last - first + 1 }, (_, at) => readRecord(sfi, first + at)),
  );
  const purchase =
    '000000001000' + '000000000000' + '0392' + '0000000000' + '0392' + '261123' + '00' + '01020304';
  const used = await script([
    ...initiate,
    ...records,
    '80CA9F1700',
    `${apdu('00880000', 'A1B2C3D4')}00`,
    apdu('00200080', `24${pin}FFFFFFFFFF`),
    // Authorization request with combined data authentication.
    `${apdu('80AE9000', purchase)}00`,
  ]);
  return [...begun, ...used];
}

const cardpeekScript = (output: string): string => `
dofile("/usr/share/cardpeek/emv.lua")
local file = io.open("${output}", "w")
file:write(nodes.to_xml(nodes.root()))
file:close()
os.exit(0)
`;

/** Answers to all it asks: whether to make its folder, and for each application whether to begin a transaction. */
const yes = '1\n'.repeat(20);

async function readWithCardpeek(): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), 'cardwright-cardpeek-'));
  try {
    const [script, xml] = [join(home, 'read.lua'), join(home, 'card.xml')];
    writeFileSync(script, cardpeekScript(xml));
    const environment = { ...process.env, HOME: home };
    const run = (lua: string): Promise<string> =>
      runClient('cardpeek', ['--console', '-r', `pcsc://${readerName}`, '-e', lua], yes, environment);
    // The first run only asks for its folder and makes it: its library is not loaded before the second.
    await run('os.exit(0)');
    await run(`dofile("${script}")`);
    return readFileSync(xml, 'utf8');
  } finally {
    rmSync(home, { recursive: true });
  }
}

/** Waits until the service noticed that a card came or left; it looks every 400 ms. */
async function untilReaderHas(card: 'Yes' | 'No'): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!new RegExp(`^0 +${card} `, 'm').test(await runClient('opensc-tool', ['-l']))) {
    if (Date.now() > deadline) throw new Error(`the reader does not say ${card} to a card`);
    await delay(50);
  }
}

async function readCard(card: Card): Promise<Pick<CardReading, 'opensc' | 'exchanges' | 'cardpeek'>> {
  const connection = await connectVpcd(card, { host: '127.0.0.1', port: readerPort });
  try {
    await untilReaderHas('Yes');
    const opensc = await runClient('opensc-tool', ['-r', readerName, '-a', '-s', select(pseAid)]);
    const exchanges = await walk();
    return { opensc, exchanges, cardpeek: await readWithCardpeek() };
  } finally {
    await connection.close();
    // The next card is another one only when the reader saw this one leave.
    await untilReaderHas('No');
  }
}

async function readAll(fixture: KeyFixture): Promise<CardReading[]> {
  const readings: CardReading[] = [];
  for (const profile of productProfiles) {
    for (const protocol of ['SCP02', 'SCP03'] as const) {
      const body = `999900${String(readings.length).padStart(9, '0')}`;
      const pan = body + luhnCheckDigit(body);
      const block = encipherPinBlockFormat4(
        issuerPinKey,
        Uint8Array.from(pin, Number),
        pan,
        new Uint8Array(8),
      );
      const pinBlock = { format: 'ISO9564-4', value: hex(block), keyIndex: '1' };
      const data = { pan, exp: '2906', name: 'TARO YAMADA', cvv2: '123', pinBlock };
      const certificate = await certificateFor(fixture.keys, profile);
      const plan = await planFor(fixture, data, profile, certificate);
      const read = await readCard(await personalize(fixture, plan, protocol));
      const { verification, stripe } = plan;
      const { productId, chip } = profile;
      const { profileId } = chip;
      readings.push({ productId, profileId, protocol, pan, verification, stripe, ...read });
    }
  }
  return readings;
}

const service = await startPcsc();
const fixture = await openKeyFixture();
try {
  process.stdout.write(JSON.stringify(await readAll(fixture)));
} finally {
  await fixture.close();
  await service.stop();
}
