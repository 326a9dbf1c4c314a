import assert from 'node:assert/strict';
import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { faultsBetweenCeremonies, verifyCeremonyTranscript } from '../src/index.ts';

const pair = generateKeyPairSync('ed25519');
const witnessKey = createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' }));
const publicPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const plan = {
  ceremonyId: 'c-1',
  keyName: 'imk-ac/1',
  algorithm: 'TDES-2KEY',
  usage: 'IMK-AC',
  environment: 'test',
  exportability: 'N',
  components: 2,
  witness: 'Wanda',
};
type Event = Readonly<Record<string, unknown>>;
const kcv = (digits: string): string => `TDES-ECB-0:${digits}`;

function session(custodian: string, component: number): Event[] {
  const checkValue = kcv('A1B2C3');
  return [
    { type: 'session-opened', custodian, component },
    { type: 'component-entered', component, checkValue },
    { type: 'component-confirmed', component, checkValue },
    { type: 'session-closed', custodian },
  ];
}

const ending: Event[] = [
  { type: 'combined', checkValue: kcv('D4E5F6') },
  { type: 'completed', checkValue: kcv('D4E5F6') },
];
const sound: Event[] = [{ type: 'begun', plan }, ...session('aiko', 1), ...session('ben', 2), ...ending];

/** A transcript by a witness who signs whatever is put before them. */
function transcript(events: readonly Event[], at = (index: number) => 1_900_000_000_000 + index): string {
  let previous = '';
  return events
    .map((event, index) => {
      const entry = JSON.stringify({
        format: 'cardwright-key-ceremony/1',
        sequence: index + 1,
        at: new Date(at(index)).toISOString(),
        previous,
        event,
      });
      previous = createHash('sha256').update(entry).digest('base64');
      const signature = sign(null, Buffer.from(entry), witnessKey).toString('base64');
      return `${JSON.stringify({ entry, signature })}\n`;
    })
    .join('');
}

function faultOf(text: string, key = publicPem): string {
  const verdict = verifyCeremonyTranscript(text, key);
  assert.ok(!verdict.ok);
  return verdict.fault;
}

test('a sound transcript is accepted with its custodians and check value', () => {
  const verdict = verifyCeremonyTranscript(transcript(sound), publicPem);
  assert.ok(verdict.ok);
  assert.equal(verdict.ceremony.outcome, 'completed');
  assert.equal(verdict.ceremony.checkValue, kcv('D4E5F6'));
  assert.deepEqual(verdict.ceremony.custodians, [
    { component: 1, custodian: 'aiko' },
    { component: 2, custodian: 'ben' },
  ]);
});

test('rules that were broken before a witness who signed all the same are found', () => {
  const begun = { type: 'begun', plan };
  const [open, enter, confirm, close] = session('aiko', 1);
  assert.ok(open && enter && confirm && close);
  const cases: readonly (readonly [string, readonly Event[]])[] = [
    ['a custodian on a second component', [begun, ...session('aiko', 1), ...session(' AIKO', 2), ...ending]],
    ['a component for the second time', [begun, ...session('aiko', 1), ...session('ben', 1)]],
    ['two sessions at once', [begun, open, open]],
    ['the witness, or nobody, as a custodian', [begun, ...session('wanda', 1)]],
    ['a component that is not planned', [begun, ...session('aiko', 3)]],
    [
      'another check value was confirmed than entered',
      [begun, open, enter, { ...confirm, checkValue: kcv('000000') }],
    ],
    [
      'a check value of a wrong form or method',
      [begun, open, { ...enter, checkValue: 'AES-CMAC-0:0011223344' }],
    ],
    ['a confirmation of nothing', [begun, open, confirm]],
    ['leaves an unconfirmed component', [begun, open, enter, close]],
    ['combined from too few components', [begun, ...session('aiko', 1), ...ending]],
    [
      'combined while a session is open',
      [begun, ...session('aiko', 1), { ...open, custodian: 'ben', component: 2 }, ...ending],
    ],
    ['the key was not confirmed', [...sound.slice(0, -1), { type: 'completed', checkValue: kcv('000000') }]],
    ['comes after the end', [...sound, { type: 'abandoned', reason: 'late' }]],
    ['is an event that this version does not know', [begun, { type: 'component-shown', component: 1 }]],
    ['does not begin a ceremony', sound.slice(1)],
    ['the plan is none of a ceremony', [{ type: 'begun', plan: { ...plan, components: 1 } }]],
  ];
  for (const [fault, events] of cases) assert.equal(faultOf(transcript(events)), fault);
});

test('a changed, missing, exchanged, repeated or cut line is found, and a clock that goes back', () => {
  const lines = transcript(sound).split('\n').slice(0, -1);
  const joined = (changed: readonly string[]): string => `${changed.join('\n')}\n`;
  for (const index of lines.keys()) {
    const line = lines[index] ?? '';
    assert.equal(
      faultOf(joined(lines.with(index, line.replace('"entry":"', '"entry":" ')))),
      "the signature is not the witness's",
    );
    if (index < lines.length - 1) assert.equal(faultOf(joined(lines.toSpliced(index, 1))), 'is out of order');
    assert.equal(faultOf(joined(lines.toSpliced(index, 0, line))), 'is out of order');
  }
  assert.equal(faultOf(transcript(sound).slice(0, -1)), 'the last line is cut off');
  assert.equal(faultOf(''), 'the last line is cut off');
  assert.equal(faultOf('{}\n'), 'lacks entry');
  assert.equal(faultOf(transcript(sound, (index) => 1_900_000_000_000 - index)), 'goes back in time');
});

test('a bit turned over in any byte of a transcript is found, and so is every other spelling', () => {
  const bytes = Buffer.from(transcript(sound));
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
    assert.equal(verifyCeremonyTranscript(changed.toString('utf8'), publicPem).ok, false, String(at));
  }
  const spelt = bytes.toString('utf8');
  assert.equal(faultOf(spelt.replace('{"entry"', '{ "entry"')), 'is not spelt as it was written');
  assert.equal(faultOf(spelt.replace('"}\n', '","more":1}\n')), 'is not spelt as it was written');
});

test('lines of another ceremony of the same witness do not fit in', () => {
  const lines = transcript(sound).split('\n');
  const others = transcript([
    { type: 'begun', plan: { ...plan, ceremonyId: 'c-2' } },
    ...sound.slice(1),
  ]).split('\n');
  const mixed = [...lines.slice(0, 5), ...others.slice(5)].join('\n');
  assert.equal(faultOf(mixed), 'does not follow the line before');
});

test('another witness is refused', () => {
  const stranger = generateKeyPairSync('ed25519')
    .publicKey.export({ format: 'pem', type: 'spki' })
    .toString();
  assert.equal(faultOf(transcript(sound), stranger), "the signature is not the witness's");
});

test('a person who took another component of the family in another ceremony is found', () => {
  const second = [
    { type: 'begun', plan: { ...plan, ceremonyId: 'c-2', keyName: 'imk-ac/2' } },
    ...session('ben', 1),
    ...session('aiko', 2),
    ...ending,
  ];
  const ceremonies = [sound, second].map((events) => {
    const verdict = verifyCeremonyTranscript(transcript(events), publicPem);
    assert.ok(verdict.ok);
    return verdict.ceremony;
  });
  assert.equal(faultsBetweenCeremonies(ceremonies).length, 2);
  const [first] = ceremonies;
  assert.ok(first);
  assert.deepEqual(faultsBetweenCeremonies([first, { ...first, keyName: 'cvk/1' }]), []);
});

test('the verification imports nothing but the platform', () => {
  const source = readFileSync(new URL('../src/ceremony/ceremony-verification.ts', import.meta.url), 'utf8');
  assert.deepEqual(source.match(/from '[^']+'/g), ["from 'node:crypto'"]);
});
