/** The stripe: what is made, what is taken as it came, and what a product's own rules must not say. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import fc from 'fast-check';
import { cardRuleFaults, ccd3desProfile, type ProductProfile } from '../src/index.ts';
import { cardDataArbitrary, testPrefix } from './card-data-generator.ts';
import { type KeyFixture, openKeyFixture, planFor } from './key-fixture.ts';

const body = `${testPrefix}123456789`;
const pan = body + luhnCheckDigit(body);
const data = { pan, exp: '2906', name: 'TARO YAMADA', cvv2: '123' };
const withStripe = (stripe: ProductProfile['stripe']): ProductProfile => {
  const { stripe: _none, ...others } = ccd3desProfile;
  return stripe === undefined ? others : { ...others, stripe };
};

describe('the magnetic stripe', () => {
  let fixture: KeyFixture;
  before(async () => {
    fixture = await openKeyFixture();
  });
  after(() => fixture.close());
  const cvv = async (serviceCode: string, expiry = '2906'): Promise<string> =>
    fixture.keys.cvv(await fixture.keys.find('cvk/1'), pan, expiry, serviceCode);

  it('carries name, expiry, service code and the value of that service code in the pattern of the product', async () => {
    const { stripe } = await planFor(fixture, data);
    const value = await cvv('201');
    assert.deepEqual(stripe, {
      track1: `B${pan}^YAMADA/TARO^2906201000000${value}000000`,
      track2: `${pan}=29062010000${value}000`,
    });
  });

  it('takes the value of the issuer where it sent one', async () => {
    const { stripe } = await planFor(fixture, { ...data, cvv1: '987' });
    assert.match(stripe?.track2 ?? '', /=29062010000987000$/);
  });

  it('carries a PVV only where the pattern has a place for it', async () => {
    const profile = withStripe({ track1: 'pvv|cvv', track2: '1|pvv|cvv' });
    const { stripe } = await planFor(fixture, { ...data, pvv: '4711' }, profile);
    const value = await cvv('201');
    assert.equal(stripe?.track1, `B${pan}^YAMADA/TARO^29062014711${value}`);
    assert.equal(stripe.track2, `${pan}=290620114711${value}`);
    await assert.rejects(planFor(fixture, data, profile), /refused: pvv/);
  });

  it('is encoded as the issuer sent it, track by track, and track 3 only so', async () => {
    const track2 = `${pan}=29062019999`;
    const track3 = `01${pan}=12345`;
    const { stripe } = await planFor(fixture, { ...data, trackData: { track2: `;${track2}?`, track3 } });
    assert.equal(stripe?.track2, track2);
    assert.equal(stripe.track3, track3);
    assert.match(stripe.track1, /^B.*\^YAMADA\/TARO\^2906201/);
  });

  it('does not exist for a product without one, which takes no tracks either', async () => {
    const profile = withStripe(undefined);
    assert.equal((await planFor(fixture, data, profile)).stripe, undefined);
    await assert.rejects(
      planFor(fixture, { ...data, trackData: { track2: `${pan}=2906201` } }, profile),
      /refused: trackData/,
    );
  });

  it('refuses the number or the name that would make a track too long, and never cuts', async () => {
    const long = withStripe({ track1: '0'.repeat(40), track2: 'cvv' });
    await assert.rejects(planFor(fixture, data, long), /refused: encodedName/);
    await planFor(fixture, { ...data, encodedName: 'YA/TARO' }, long).then(({ stripe }) => {
      assert.equal(stripe?.track1.length, 1 + 16 + 1 + 7 + 1 + 7 + 40);
    });
    const full = withStripe({ track1: 'cvv', track2: '0'.repeat(14) });
    await assert.rejects(planFor(fixture, data, full), /refused: pan/);
    const given = { ...data, trackData: { track2: `${pan}=2906201` } };
    assert.equal((await planFor(fixture, given, full)).stripe?.track2, given.trackData.track2);
  });

  it('prints a computed security code in the order of the product, and refuses another one', async () => {
    const printing = (expiryOrder: 'YYMM' | 'MMYY'): ProductProfile => ({
      ...ccd3desProfile,
      print: { ...ccd3desProfile.print, computedSecurityCode: { expiryOrder } },
    });
    const { cvv2: _none, ...without } = data;
    assert.equal((await planFor(fixture, without, printing('YYMM'))).print.securityCode, await cvv('000'));
    const mmyy = await cvv('000', '0629');
    assert.equal((await planFor(fixture, without, printing('MMYY'))).print.securityCode, mmyy);
    assert.equal(
      (await planFor(fixture, { ...data, cvv2: mmyy }, printing('MMYY'))).print.securityCode,
      mmyy,
    );
    const other = String((Number(mmyy) + 1) % 1000).padStart(3, '0');
    await assert.rejects(planFor(fixture, { ...data, cvv2: other }, printing('MMYY')), {
      code: 'SECURITY_CODE_MISMATCH',
      field: 'cvv2',
    });
  });

  it('of any accepted card reads back: number, name, expiry, service code, and no value of chip or print', async () => {
    await fc.assert(
      fc.asyncProperty(cardDataArbitrary, async (cardData) => {
        const { stripe } = await planFor(fixture, cardData);
        assert(stripe);
        assert.ok(stripe.track1.length <= 76 && stripe.track2.length <= 37);
        const first = /^B(\d+)\^([A-Z0-9 $().\-/]{2,26})\^(\d{4})201000000(\d{3})000000$/.exec(stripe.track1);
        const second = /^(\d+)=(\d{4})2010000(\d{3})000$/.exec(stripe.track2);
        assert.deepEqual([first?.[1], first?.[3]], [cardData.pan, cardData.exp]);
        assert.deepEqual([second?.[1], second?.[2]], [cardData.pan, cardData.exp]);
        assert.equal(first?.[4], second?.[3]);
        const key = await fixture.keys.find('cvk/1');
        assert.equal(second?.[3], await fixture.keys.cvv(key, cardData.pan, cardData.exp, '201'));
      }),
      { numRuns: 25 },
    );
  });
});

describe('card rules of a product', () => {
  const faults = (change: Partial<ProductProfile>): string[] =>
    cardRuleFaults({ ...ccd3desProfile, ...change }).map(({ path }) => path);

  it('of the reference product are sound', () => {
    assert.deepEqual(faults({}), []);
  });

  for (const [what, change, member] of [
    ['a service code of chip values', { serviceCode: '999' }, 'serviceCode'],
    ['a service code that ISO/IEC 7813 does not know', { serviceCode: '231' }, 'serviceCode'],
    ['a service code without chip', { serviceCode: '101' }, 'serviceCode'],
    ['a service code of two digits', { serviceCode: '20' }, 'serviceCode'],
    ['letters in the chip pattern', { chipDiscretionary: ['cvv', 'icvv'] }, 'chipDiscretionary'],
    ['a chip pattern of 11 digits', { chipDiscretionary: ['00000000', 'icvv'] }, 'chipDiscretionary'],
    [
      'the documented example on track 2',
      { stripe: { track1: '', track2: '000000|cvv|000000' } },
      'stripe.track2',
    ],
    ['22 digits on track 1', { stripe: { track1: '0'.repeat(22), track2: '' } }, 'stripe.track1'],
    ['a token of the chip', { stripe: { track1: 'icvv', track2: '' } }, 'stripe.track1'],
    ['the security code', { stripe: { track1: '', track2: 'cvv2' } }, 'stripe.track2'],
    ['one value twice', { stripe: { track1: 'cvv|0|cvv', track2: '' } }, 'stripe.track1'],
    ['an empty part', { stripe: { track1: '0||0', track2: '' } }, 'stripe.track1'],
  ] as const) {
    it(`with ${what} are refused naming ${member}`, () => {
      assert.deepEqual(faults(change), [member]);
    });
  }
});
