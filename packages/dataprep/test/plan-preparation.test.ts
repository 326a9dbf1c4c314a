/** From card data to a plan whose records parse, verify up to the CA and fit; checked as a terminal would. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { hex, parseDgis, encodeDgi, parseTlv, unhex, findTag } from '@cardwright/emv';
import fc from 'fast-check';
import {
  ccd3desProfile,
  DataPreparationError,
  parsePlan,
  type Plan,
  selectKeys,
  serializePlan,
} from '../src/index.ts';
import { cardDataArbitrary, testPrefix } from './card-data-generator.ts';
import { type KeyFixture, openKeyFixture, planFor } from './key-fixture.ts';
import { authenticateRecords, type ReadRecord, tagValue } from './terminal.ts';

const withCheckDigit = (body: string): string => body + luhnCheckDigit(body);
const pan = withCheckDigit(`${testPrefix}123456789`);
const data = { pan, exp: '2906', name: 'TARO YAMADA', cvv2: '123' };

const sha256 = (bytes: Uint8Array): string => hex(createHash('sha256').update(bytes).digest());

function clearDgi(plan: Plan, label: 'PSE' | 'PPSE' | 'APP', id: string): Uint8Array {
  const dgi = plan.instances.find((i) => i.label === label)?.dgis.find((d) => d.id === id);
  assert(dgi?.kind === 'clear', `DGI ${id} of ${label}`);
  return unhex(dgi.value);
}

/** The records of the plan in the order of its facts, from the data groupings that go onto the chip. */
function recordsOf(plan: Plan): ReadRecord[] {
  return plan.verification.records.map(({ sfi, record }) => ({
    sfi,
    record,
    bytes: clearDgi(plan, 'APP', hex(Uint8Array.of(sfi, record))),
  }));
}

describe('a plan', () => {
  let fixture: KeyFixture;
  let plan: Plan;
  before(async () => {
    fixture = await openKeyFixture();
    plan = await planFor(fixture, data);
  });
  after(() => fixture.close());

  it('holds certificates that recover from the CA key down to the card, ending with the card', () => {
    const facts = plan.verification;
    const recovered = authenticateRecords(
      recordsOf(plan),
      unhex(facts.afl),
      unhex(facts.aip),
      facts.capk,
      '2611',
    );
    assert.equal(recovered.iin, testPrefix);
    assert.equal(recovered.iccModulus.length * 8, 1152);
    assert.equal(recovered.iccExpiryMMYY, '0629');
  });

  it('no longer verifies when one signed byte changes', () => {
    const facts = plan.verification;
    const records = recordsOf(plan).map((record) => {
      const bytes = record.bytes.slice();
      const last = bytes.length - 1;
      if (record.sfi === 3) bytes[last] = (bytes[last] ?? 0) ^ 1;
      return { ...record, bytes };
    });
    assert.throws(
      () => authenticateRecords(records, unhex(facts.afl), unhex(facts.aip), facts.capk, '2611'),
      /ICC certificate: HASH/,
    );
  });

  it('has the hash of every record, whole, as the card returns it', () => {
    for (const { sfi, record, bytes } of recordsOf(plan)) {
      assert.equal(bytes[0], 0x70);
      const fact = plan.verification.records.find((r) => r.sfi === sfi && r.record === record);
      assert.equal(fact?.sha256, sha256(bytes));
    }
    assert.equal(plan.verification.panSha256, sha256(unhex(pan)));
  });

  it('carries the iCVV in tag 57 beside the real service code', async () => {
    const icvv = await fixture.keys.cvv(await fixture.keys.find('cvk/1'), pan, '2906', '999');
    const nodes = recordsOf(plan).flatMap(({ bytes }) => parseTlv(bytes));
    assert.equal(hex(tagValue(nodes, '57')), `${pan}D2906201` + `00000${icvv}00`);
    assert.equal(new TextDecoder().decode(tagValue(nodes, '5F20')), 'YAMADA/TARO');
    assert.equal(hex(tagValue(nodes, '5F24')), '290630');
    assert.equal(hex(tagValue(nodes, '5F25')), '261123');
    assert.equal(hex(tagValue(nodes, '5F34')), '00');
    assert.equal(hex(tagValue(nodes, '5F30')), '0201');
  });

  it('has no primitive tag twice over all records', () => {
    const tags = recordsOf(plan)
      .flatMap(({ bytes }) => parseTlv(bytes))
      .flatMap(({ children }) => children.map(({ tag }) => tag));
    assert.deepEqual(
      tags.filter((tag, i) => tags.indexOf(tag) !== i),
      [],
    );
  });

  it('loads key check values of the keys that it will derive', async () => {
    const { keys } = fixture;
    const kcvs = clearDgi(plan, 'APP', '9000');
    const expected = await Promise.all(
      ['imk-ac/1', 'imk-smi/1', 'imk-smc/1'].map(async (name) => {
        // Option B equals option A up to 16 digits: Y is the last 14 PAN digits and the sequence number.
        const y = unhex(pan.slice(-14) + '00');
        const input = Uint8Array.from([...y, ...y.map((byte) => byte ^ 0xff)]);
        return hex(await keys.kcv(await keys.deriveTdesEcb(await keys.find(name), input, 'UDK', true)));
      }),
    );
    assert.equal(hex(kcvs), expected.join(''));
  });

  it('names the application in PSE and PPSE', () => {
    const directory = parseTlv(clearDgi(plan, 'PSE', '0101'));
    assert.equal(hex(tagValue(directory, '4F')), 'F0434152440001');
    assert.equal(hex(tagValue(parseTlv(clearDgi(plan, 'PSE', '9102')), '88')), '01');
    assert.equal(hex(tagValue(parseTlv(clearDgi(plan, 'PPSE', '9102')), '4F')), 'F0434152440001');
  });

  it('prints what the product prints', () => {
    assert.deepEqual(plan.print, {
      name: 'TARO YAMADA',
      pan: pan.replace(/(\d{4})(?=\d)/g, '$1 '),
      expiry: '06/29',
      securityCode: '123',
      customLines: ['DEBIT'],
      memberId: 'M123456',
    });
    assert.equal(plan.isTestCard, true);
  });

  it('shows a masked number where the product says so', async () => {
    const print = { ...ccd3desProfile.print, pan: 'masked' as const };
    const masked = await planFor(fixture, data, { ...ccd3desProfile, print });
    assert.equal(masked.print.pan, `9999 00** **** ${pan.slice(-4)}`);
  });

  it('survives its own bytes and refuses others', () => {
    const bytes = serializePlan(plan);
    assert.deepEqual(parsePlan(bytes), plan);
    const otherVersion = new TextEncoder().encode(JSON.stringify({ ...plan, version: plan.version + 1 }));
    for (const wrong of [bytes.subarray(1), new Uint8Array(), otherVersion]) {
      assert.throws(
        () => parsePlan(wrong),
        (error) => error instanceof DataPreparationError && error.code === 'PLAN_INVALID',
      );
    }
  });

  it('a card that would outlive the certificate of its issuer is refused naming exp', async () => {
    const short = { ...fixture.issuerCertificate, expires: '2905' };
    await assert.rejects(
      planFor(fixture, data, ccd3desProfile, short),
      (error) =>
        error instanceof DataPreparationError &&
        error.code === 'EXPIRY_OUTLIVES_CERTIFICATE' &&
        error.field === 'exp',
    );
  });

  it('application keys of option A and option B differ exactly for long card numbers', async () => {
    const optionA = { ...ccd3desProfile, udkOption: 'A' as const };
    const longData = { ...data, pan: withCheckDigit(`${testPrefix}123456789012`) };
    const kcv = async (...args: [unknown, typeof ccd3desProfile]): Promise<string> =>
      hex(clearDgi(await planFor(fixture, ...args), 'APP', '9000'));
    assert.equal(await kcv(data, optionA), await kcv(data, ccd3desProfile));
    assert.notEqual(await kcv(longData, optionA), await kcv(longData, ccd3desProfile));
  });

  it('any card data that the validator accepts gives records that parse, fit and verify', async () => {
    await fc.assert(
      fc.asyncProperty(cardDataArbitrary, async (cardData) => {
        const made = await planFor(fixture, cardData);
        const facts = made.verification;
        const records = recordsOf(made);
        for (const { bytes } of records) assert(bytes.length <= 254);
        authenticateRecords(records, unhex(facts.afl), unhex(facts.aip), facts.capk, cardData.exp);
        const nodes = records.flatMap(({ bytes }) => parseTlv(bytes));
        assert.equal(hex(tagValue(nodes, '5A')).replace(/F$/, ''), cardData.pan);
        assert.equal(findTag(nodes, '9F24') !== undefined, cardData.paymentAccountReference !== undefined);
        const encoded = made.instances.flatMap(({ dgis }) =>
          dgis.flatMap((dgi) => (dgi.kind === 'clear' ? [encodeDgi(dgi.id, unhex(dgi.value))] : [])),
        );
        for (const dgi of encoded) assert.equal(parseDgis(dgi).length, 1);
        assert.deepEqual(parsePlan(serializePlan(made)), made);
      }),
      { numRuns: 25 },
    );
  });
});

describe('key indexes', () => {
  const order = { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: '01' };

  it('all spellings of one number name the same keys', () => {
    for (const index of ['1', '01', '0001', 1]) {
      const selection = selectKeys(ccd3desProfile, {
        ...order,
        odaKeyIndex: index,
        derivationKeyIndex: index,
        cvKeyIndex: index,
        pvKeyIndex: index,
      });
      assert(selection.ok);
      assert.equal(selection.keys.oda.issuerKey, 'issuer/1');
      assert.equal(selection.keys.cv, 'cvk/1');
    }
  });

  it('an index that no key has is refused by its name', () => {
    for (const member of ['odaKeyIndex', 'derivationKeyIndex', 'cvKeyIndex', 'pvKeyIndex']) {
      for (const index of ['02', 2, 'A1', 'constructor', '__proto__']) {
        assert.deepEqual(selectKeys(ccd3desProfile, { ...order, [member]: index }), {
          ok: false,
          field: `paymentApplication.${member}`,
        });
      }
    }
  });
});
