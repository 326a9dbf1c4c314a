/** Model 2: what an issuer prepared is loaded as it is, or refused naming the DGI and tag in error. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { encodeTlv, hex, parseTlv, tlv, unhex } from '@cardwright/emv';
import fc from 'fast-check';
import {
  ccd3desProfile,
  confirmCryptogram,
  DataPreparationError,
  type Plan,
  validateCardData,
} from '../src/index.ts';
import { testPrefix, today } from './card-data-generator.ts';
import { type KeyFixture, openKeyFixture, planFor } from './key-fixture.ts';
import { personalize } from './personalized-card.ts';
import { authenticateRecords, generateArqc, purchaseData, readApplication, select } from './terminal.ts';

const body = `${testPrefix}123456789`;
const pan = body + luhnCheckDigit(body);
const data = { pan, exp: '2906', name: 'TARO YAMADA', cvv2: '123' };
const preparedIds = ['9102', '0101', '0301', '3001', '9200'];
type Dgis = Readonly<Record<string, string>>;

/** Replaces the value of one tag inside the record or template. */
function withTag(dgi: string, tag: string, value: string): string {
  const [outer] = parseTlv(unhex(dgi));
  assert(outer);
  return hex(
    tlv(
      outer.tag,
      outer.children.map((node) => (node.tag === tag ? tlv(tag, unhex(value)) : encodeTlv(node))),
    ),
  );
}

function withoutTag(dgi: string, tag: string): string {
  const [outer] = parseTlv(unhex(dgi));
  assert(outer);
  return hex(tlv(outer.tag, outer.children.filter((node) => node.tag !== tag).map(encodeTlv)));
}

function judge(dgis: unknown, profile = 'ccd-3des'): string | undefined {
  const plaintext = new TextEncoder().encode(JSON.stringify({ ...data, emvData: { profile, dgis } }));
  const result = validateCardData(plaintext, ccd3desProfile, today, [testPrefix], { emvData: true });
  return result.ok ? undefined : result.field;
}

describe('a data set that the issuer prepared', () => {
  let fixture: KeyFixture;
  let dgis: Dgis;
  before(async () => {
    fixture = await openKeyFixture();
    dgis = clearDgis(await planFor(fixture, data));
  });
  after(() => fixture.close());

  const clearDgis = (plan: Plan): Dgis =>
    Object.fromEntries(
      (plan.instances.find(({ label }) => label === 'APP')?.dgis ?? []).flatMap((dgi) =>
        dgi.kind === 'clear' && preparedIds.includes(dgi.id) ? [[dgi.id, dgi.value]] : [],
      ),
    );
  const planWith = (prepared: Dgis): Promise<Plan> =>
    planFor(
      fixture,
      { ...data, emvData: { profile: 'ccd-3des', dgis: prepared } },
      ccd3desProfile,
      undefined,
      {
        emvData: true,
      },
    );
  const dgi = (id: string): string => dgis[id] ?? assert.fail(`no DGI ${id}`);

  it('is refused as a member unless the issuer may send it', () => {
    const plaintext = new TextEncoder().encode(
      JSON.stringify({ ...data, emvData: { profile: 'ccd-3des', dgis } }),
    );
    const result = validateCardData(plaintext, ccd3desProfile, today, [testPrefix]);
    assert.deepEqual(result, { ok: false, field: 'emvData' });
  });

  it('is loaded byte for byte; the rest is ours, and the card proves itself', async () => {
    const ownTrack = `${pan}D2906201` + '9876543210';
    const prepared = {
      ...dgis,
      '0101': withTag(dgi('0101'), '57', ownTrack),
      '0301': withTag(dgi('0301'), '9F0F', 'FC70BC9800'),
    };
    const plan = await planWith(prepared);
    assert.deepEqual(clearDgis(plan), prepared);
    const card = await personalize(fixture, plan, 'SCP03');
    const facts = plan.verification;
    select(card, facts.aid);
    const read = readApplication(card);
    assert.equal(hex(read.records[0]?.bytes ?? new Uint8Array(0)), prepared['0101']);
    authenticateRecords(read.records, read.afl, read.aip, facts.capk, '2611');
    const evidence = { epoch: 1, ...generateArqc(card, purchaseData(new Uint8Array(4))) };
    assert.deepEqual(await confirmCryptogram(fixture.keys, plan, evidence), { confirmed: true });
  });

  it('may be a part: what is not sent is prepared here', async () => {
    const plan = await planWith({ '9102': dgi('9102') });
    assert.deepEqual(clearDgis(plan), dgis);
  });

  it('may spread a file over more records than ours', async () => {
    const [record] = parseTlv(unhex(dgi('0301')));
    assert(record);
    const half = Math.floor(record.children.length / 2);
    const parts = [record.children.slice(0, half), record.children.slice(half)];
    const [first = '', second = ''] = parts.map((nodes) => hex(tlv('70', nodes.map(encodeTlv))));
    const plan = await planWith({ '0301': first, '0302': second });
    assert.equal(plan.verification.afl, '080101001001020018010202');
    const card = await personalize(fixture, plan, 'SCP03');
    select(card, plan.verification.aid);
    const read = readApplication(card);
    authenticateRecords(read.records, read.afl, read.aip, plan.verification.capk, '2611');
  });

  it('is refused naming the first DGI and tag in error', () => {
    const other = '99990000000000' + '00';
    const cases: readonly (readonly [what: string, dgis: unknown, field: string])[] = [
      ['a secret DGI', { '8000': '00'.repeat(48) }, 'emvData.dgis.8000'],
      ['an ICC key component', { '8201': '00'.repeat(72) }, 'emvData.dgis.8201'],
      ['a reference PIN', { '8010': '241234FFFFFFFFFF' }, 'emvData.dgis.8010'],
      ['key check values', { '9000': '00'.repeat(9) }, 'emvData.dgis.9000'],
      ['the AFL, which depends on our certificates', { '9104': '82023900' }, 'emvData.dgis.9104'],
      ['a certificate record', { '0201': '70038F0101' }, 'emvData.dgis.0201'],
      ['a DGI that the profile does not know, unnamed', { '1234': '00' }, 'emvData.dgis'],
      ['a DGI in lower case', { '0d01': '00' }, 'emvData.dgis'],
      ['no hexadecimal', { '9102': 'XX' }, 'emvData.dgis.9102'],
      ['a list', [], 'emvData.dgis'],
      ['another PAN', { '0301': withTag(dgi('0301'), '5A', other) }, 'emvData.dgis.0301.5A'],
      ['another expiry', { '0301': withTag(dgi('0301'), '5F24', '290731') }, 'emvData.dgis.0301.5F24'],
      ['another sequence number', { '0301': withTag(dgi('0301'), '5F34', '01') }, 'emvData.dgis.0301.5F34'],
      [
        'a track of another card',
        { '0101': withTag(dgi('0101'), '57', `${other}D29062010000`) },
        'emvData.dgis.0101.57',
      ],
      ['another CDOL1', { '0301': withTag(dgi('0301'), '8C', '9F3704') }, 'emvData.dgis.0301.8C'],
      [
        'an IAC of four bytes',
        { '0301': withTag(dgi('0301'), '9F0D', 'FC50ACA0') },
        'emvData.dgis.0301.9F0D',
      ],
      [
        'a CVM list with half a rule',
        { '0301': withTag(dgi('0301'), '8E', '000000000000000042') },
        'emvData.dgis.0301.8E',
      ],
      ['a record without PAN', { '0301': withoutTag(dgi('0301'), '5A') }, 'emvData.dgis.0301.5A'],
      ['a name of one character', { '0101': '70045F200141' }, 'emvData.dgis.0101.5F20'],
      ['a foreign tag, unnamed', { '0101': '70059F1F024142' }, 'emvData.dgis.0101'],
      ['a record that is no template 70', { '0301': '5A0199' }, 'emvData.dgis.0301'],
      ['a record that ends early', { '0301': '70055A' }, 'emvData.dgis.0301'],
      ['a record 2 without a record 1', { '0302': dgi('0301') }, 'emvData.dgis.0302'],
      ['a tag twice', { '0101': '700A5F200241415F20024141' }, 'emvData.dgis.0101.5F20'],
      ['an IAD of another version', { '9200': '9F100706011203000000' }, 'emvData.dgis.9200.9F10'],
      [
        'an IAD with results filled in',
        { '9200': dgi('9200').replace('9F10200FA50100', '9F10200FA50101') },
        'emvData.dgis.9200.9F10',
      ],
      ['a missing internal tag', { '3001': dgi('9200') }, 'emvData.dgis.3001.9F14'],
      [
        'a label that is too long',
        { '9102': withTag(dgi('9102'), '50', '41'.repeat(17)) },
        'emvData.dgis.9102.50',
      ],
    ];
    for (const [what, prepared, field] of cases) assert.equal(judge(prepared), field, what);
    assert.equal(judge(dgis, 'vsdc-cvn18'), 'emvData.profile');
    assert.equal(judge(dgis), undefined);
  });

  it('that names other keys than the order is refused when the plan is made', async () => {
    const derivation = {
      ...ccd3desProfile.keys.derivation,
      '2': { ac: 'imk-ac/2', smi: 'imk-smi/2', smc: 'imk-smc/2', dki: '02' },
    };
    const profile = { ...ccd3desProfile, keys: { ...ccd3desProfile.keys, derivation } };
    const iad = dgi('9200').replace('0FA501', '0FA502');
    const order = { ...data, emvData: { profile: 'ccd-3des', dgis: { '9200': iad } } };
    await assert.rejects(
      planFor(fixture, order, profile, undefined, { emvData: true }),
      (error) => error instanceof DataPreparationError && error.field === 'emvData.dgis.9200.9F10',
    );
  });

  it('whatever a byte is changed to, it is taken as it is or refused under a name of the profile', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...preparedIds),
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        (id, position, byte) => {
          const bytes = unhex(dgi(id));
          bytes[position % bytes.length] = byte;
          const field = judge({ ...dgis, [id]: hex(bytes) });
          if (field !== undefined)
            assert.match(field, new RegExp(`^emvData\\.dgis\\.${id}(\\.[0-9A-F]{2,4})?$`));
        },
      ),
      { numRuns: 500 },
    );
  });
});
