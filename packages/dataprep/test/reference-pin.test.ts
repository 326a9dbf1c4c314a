/** From an issuer's PIN block to a chip that knows the PIN: nothing on the way shows it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import {
  encipherPinBlockFormat4,
  encodeCommand,
  hex,
  parseTlv,
  pinBlockFormat0,
  pinBlockFormat2,
  pinBlockFormat3,
  statusWord,
  tdesEcbEncrypt,
  unhex,
} from '@cardwright/emv';
import fc from 'fast-check';
import {
  ccd3desProfile,
  confirmCryptogram,
  type ProductProfile,
  serializePlan,
  vsdcCvn18Profile,
} from '../src/index.ts';
import { type Card, personalize } from './personalized-card.ts';
import { cardDataArbitrary, testPrefix } from './card-data-generator.ts';
import { certificateFor, issuerPinKey, type KeyFixture, openKeyFixture, planFor } from './key-fixture.ts';
import {
  authenticateRecords,
  generateArqc,
  purchaseData,
  readApplication,
  select,
  tagValue,
} from './terminal.ts';

const body = `${testPrefix}123456789`;
const pan = body + luhnCheckDigit(body);
const data = { pan, exp: '2906', name: 'TARO YAMADA', cvv2: '123' };
const digits = (pin: string): Uint8Array => Uint8Array.from(pin, Number);

const pinBlockOf = (pin: string, number: string, key = issuerPinKey): Record<string, string> => ({
  format: 'ISO9564-4',
  value: hex(encipherPinBlockFormat4(key, digits(pin), number, randomBytes(8))),
  keyIndex: '01',
});

/** Presents a PIN as a terminal does; the status word. */
function verify(card: Card, pin: string): string {
  return statusWord(
    card.transmit(encodeCommand({ cla: 0, ins: 0x20, p1: 0, p2: 0x80, data: pinBlockFormat2(digits(pin)) })),
  );
}

const offersOfflinePin = (cvmList: string): boolean => /^.{16}(....)*41/.test(cvmList);

describe('a card whose issuer sent a PIN block', () => {
  let fixture: KeyFixture;
  before(async () => {
    fixture = await openKeyFixture();
  });
  after(() => fixture.close());

  for (const [profile, protocol] of [
    [ccd3desProfile, 'SCP02'],
    [ccd3desProfile, 'SCP03'],
    [vsdcCvn18Profile, 'SCP02'],
    [vsdcCvn18Profile, 'SCP03'],
  ] as const) {
    const title = `of ${profile.productId} over ${protocol} knows the PIN, counts wrong ones, and offers offline PIN`;
    it(title, async () => {
      const certificate = await certificateFor(fixture.keys, profile);
      const plan = await planFor(
        fixture,
        { ...data, pinBlock: pinBlockOf('4711', pan) },
        profile,
        certificate,
      );
      const card = await personalize(fixture, plan, protocol);
      select(card, plan.verification.aid);
      const { records, afl, aip } = readApplication(card);
      authenticateRecords(records, afl, aip, plan.verification.capk, '2611');
      const cvmList = hex(
        tagValue(
          records.flatMap(({ bytes }) => parseTlv(bytes)),
          '8E',
        ),
      );
      assert.equal(cvmList, hex(profile.pin?.cvmList ?? new Uint8Array()));
      assert(offersOfflinePin(cvmList));
      assert.equal(verify(card, '4712'), '63C2');
      assert.equal(verify(card, '47110'), '63C1');
      assert.equal(verify(card, '4711'), '9000');
      assert.equal(verify(card, '0000'), '63C2');
      assert.equal(verify(card, '0000'), '63C1');
      assert.equal(verify(card, '0000'), '63C0');
      assert.equal(verify(card, '4711'), '6983');
    });
  }

  it('without one has no reference PIN and offers none', async () => {
    const plan = await planFor(fixture, data);
    assert.equal(plan.pin, undefined);
    const card = await personalize(fixture, plan, 'SCP03');
    select(card, plan.verification.aid);
    const { records } = readApplication(card);
    assert(
      !offersOfflinePin(
        hex(
          tagValue(
            records.flatMap(({ bytes }) => parseTlv(bytes)),
            '8E',
          ),
        ),
      ),
    );
    assert.equal(verify(card, '4711'), '6A88');
  });

  it('an opened plan still holds the block of the issuer and no PIN', async () => {
    const pinBlock = pinBlockOf('918273645546', pan);
    const text = new TextDecoder().decode(serializePlan(await planFor(fixture, { ...data, pinBlock })));
    assert.ok(text.includes(pinBlock['value'] ?? '-'));
    for (const form of ['918273645546', '9,1,8,2,7,3', '2C918273645546FF']) assert.ok(!text.includes(form));
  });

  it('the PVV on the stripe is computed from the PIN, and the chip may be left without one', async () => {
    const { pin: _none, ...others } = ccd3desProfile;
    const profile: ProductProfile = { ...others, stripe: { track1: '', track2: '1|pvv|cvv' } };
    const pinBlock = pinBlockOf('4711', pan);
    const plan = await planFor(fixture, { ...data, pinBlock }, profile);
    assert.equal(plan.pin, undefined);
    const { keys } = fixture;
    const block = unhex(pinBlock['value'] ?? '');
    const given = { key: await keys.find('pin/ISS0000001/1'), format: 'ISO9564-4' as const, block, pan };
    const value = await keys.pvv(await keys.find('pvk/1'), '1', given);
    assert.match(plan.stripe?.track2 ?? '', new RegExp(`=29062011${value}\\d{3}$`));
    await assert.rejects(planFor(fixture, data, profile), /refused: pvv/);
  });

  it('a block that is no PIN of this card under this key is refused naming its value', async () => {
    const otherBody = `${testPrefix}987654321`;
    const other = otherBody + luhnCheckDigit(otherBody);
    for (const pinBlock of [
      pinBlockOf('4711', other),
      pinBlockOf('4711', pan, Uint8Array.from(randomBytes(16))),
      { ...pinBlockOf('4711', pan), value: '0'.repeat(32) },
    ]) {
      await assert.rejects(planFor(fixture, { ...data, pinBlock }), {
        code: 'PIN_BLOCK_INVALID',
        field: 'pinBlock.value',
      });
    }
  });

  it('an index without a key, or with a key of another kind, is refused naming the index', async () => {
    const { keys } = fixture;
    await keys.ensure('pin/ISS0000001/9', { algorithm: 'TDES-2KEY', usage: 'PIN' });
    for (const keyIndex of ['2', '9', 'A-1']) {
      const pinBlock = { ...pinBlockOf('4711', pan), keyIndex };
      await assert.rejects(planFor(fixture, { ...data, pinBlock }), {
        code: 'PIN_KEY_UNKNOWN',
        field: 'pinBlock.keyIndex',
      });
    }
  });

  it('a product whose chip takes no PIN refuses the block', async () => {
    const { pin: _none, ...profile } = ccd3desProfile;
    await assert.rejects(
      planFor(fixture, { ...data, pinBlock: pinBlockOf('4711', pan) }, profile),
      /refused: pinBlock/,
    );
  });

  it('formats 0 and 3 work for an issuer that may send them', async () => {
    const value = randomBytes(16);
    await fixture.keys.ensure('pin/ISS0000001/T', { algorithm: 'TDES-2KEY', usage: 'PIN', value });
    for (const [format, block] of [
      ['ISO9564-0', pinBlockFormat0(digits('20261123'), pan)],
      ['ISO9564-3', pinBlockFormat3(digits('20261123'), pan, randomBytes(12))],
    ] as const) {
      const pinBlock = { format, value: hex(tdesEcbEncrypt(value, block)), keyIndex: 'T' };
      await assert.rejects(planFor(fixture, { ...data, pinBlock }), /refused: pinBlock.format/);
      const plan = await planFor(fixture, { ...data, pinBlock }, ccd3desProfile, undefined, {
        pinFormats: [format],
      });
      const card = await personalize(fixture, plan, 'SCP03');
      select(card, plan.verification.aid);
      readApplication(card);
      assert.equal(verify(card, '20261123'), '9000');
    }
  });
});

/** What an issuer may send beyond the plain members. */
const extras = fc.record({
  pin: fc.option(fc.stringMatching(/^[0-9]{4,12}$/), { nil: undefined }),
  givesTrack1: fc.boolean(),
  givesTrack2: fc.boolean(),
  givesCvv1: fc.boolean(),
  usesPvv: fc.boolean(),
  computesCode: fc.boolean(),
  protocol: fc.constantFrom('SCP02' as const, 'SCP03' as const),
});

describe('any card data that is accepted', () => {
  let fixture: KeyFixture;
  before(async () => {
    fixture = await openKeyFixture();
  });
  after(() => fixture.close());

  it('personalizes a card that verifies; any that is refused names the field', async () => {
    let made = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(cardDataArbitrary, extras, async (plain, extra) => {
        const cardData = {
          ...plain,
          ...(extra.pin !== undefined && { pinBlock: pinBlockOf(extra.pin, plain.pan) }),
          ...(extra.givesCvv1 && { cvv1: '555' }),
          trackData: {
            ...(extra.givesTrack1 && { track1: `B${plain.pan}^SAMPLE/A^${plain.exp}201` }),
            ...(extra.givesTrack2 && { track2: `${plain.pan}=${plain.exp}201` }),
          },
        };
        const profile: ProductProfile = {
          ...ccd3desProfile,
          stripe: extra.usesPvv
            ? { track1: '1|pvv|cvv', track2: '1|pvv|cvv' }
            : { track1: 'cvv', track2: 'cvv' },
          print: {
            ...ccd3desProfile.print,
            ...(extra.computesCode && { computedSecurityCode: { expiryOrder: 'YYMM' as const } }),
          },
        };
        const plan = await planFor(fixture, cardData, profile).catch((error: unknown) => {
          assert(error instanceof Error);
          const field = (error as { field?: string }).field ?? error.message.replace('refused: ', '');
          assert.match(field, /^(pvv|cvv2)$/, error.message);
          // Each of the two has one cause: no PIN for a PVV, or a code that is not the computed one.
          if (field === 'pvv') {
            assert(extra.usesPvv && extra.pin === undefined && plain.pvv === undefined);
            assert(!extra.givesTrack1 || !extra.givesTrack2);
          } else assert(extra.computesCode || plain.cvv2 === '555');
          return undefined;
        });
        if (plan === undefined) {
          refused += 1;
          return;
        }
        made += 1;
        const card = await personalize(fixture, plan, extra.protocol);
        select(card, plan.verification.aid);
        const { records, afl, aip } = readApplication(card);
        authenticateRecords(records, afl, aip, plan.verification.capk, plain.exp);
        assert.equal(verify(card, extra.pin ?? '1234'), extra.pin === undefined ? '6A88' : '9000');
        const evidence = { epoch: 1, ...generateArqc(card, purchaseData(new Uint8Array(randomBytes(4)))) };
        assert.deepEqual(await confirmCryptogram(fixture.keys, plan, evidence), { confirmed: true });
        assert.equal(plan.stripe?.track2.startsWith(`${plain.pan}=${plain.exp}201`), true);
      }),
      { numRuns: 60 },
    );
    assert(made >= 15 && refused >= 5, `${made} made, ${refused} refused`);
  });
});
