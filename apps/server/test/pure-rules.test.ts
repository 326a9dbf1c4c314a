import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { luhnCheckDigit, maskPan } from '@cardwright/domain';
import fc from 'fast-check';
import { findConfigFaults, type ServerConfig } from '../src/config.ts';
import { decideArm } from '../src/dispatch/arm.ts';
import { chipIdentityOf } from '../src/dispatch/chip-relay.ts';
import { holdsCardNumber } from '../src/dispatch/evidence-scan.ts';
import { findContradiction, outcomeOf } from '../src/dispatch/report.ts';
import { backOffMs } from '../src/due-work/work-loop.ts';
import { showableField } from '../src/issuer-api/d1-refusal.ts';
import { canonicalUrl } from '../src/issuer-api/issuer-listener.ts';
import { checkJweStructure } from '../src/orders/jwe-structure.ts';
import { canonicalContent, type OrderContent } from '../src/orders/order-content.ts';
import { readOrder } from '../src/orders/order-request.ts';

const pan = fc
  .tuple(
    fc.constantFrom('4', '5', '999900'),
    fc.integer({ min: 11, max: 18 }),
    fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 18, maxLength: 18 }),
  )
  .map(([prefix, length, digits]) => `${prefix}${digits.join('')}`.slice(0, length))
  .map((body) => body + luhnCheckDigit(body));

describe('the evidence scan', () => {
  it('finds a card number standing alone in any text, at any depth', () => {
    fc.assert(
      fc.property(pan, fc.constantFrom(' ', ':', '"', 'PAN=', '; '), (number, border) => {
        fc.pre(new Set(number).size > 1);
        assert.ok(holdsCardNumber({ a: [{ b: `x${border}${number}${border}x` }] }, null));
        assert.ok(holdsCardNumber({ [number]: 1 }, null));
      }),
    );
  });

  it("finds the order's own number even inside a dump", () => {
    fc.assert(
      fc.property(pan, (number) => {
        assert.ok(holdsCardNumber({ dump: `57135A${number}D2912201F` }, maskPan(number)));
        assert.ok(holdsCardNumber({ text: number.replace(/(.{4})/g, '$1-') }, maskPan(number)));
      }),
    );
  });

  it('lets every identifier, time and measured duration pass', () => {
    const evidence = fc.record({
      bootId: fc.uuid(),
      at: fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
      tookMs: fc.double({ min: 0, max: 100_000, noNaN: true }),
      atr: fc
        .uint8Array({ minLength: 10, maxLength: 42 })
        .map((bytes) => Buffer.from(bytes).toString('hex').toUpperCase()),
    });
    const isWhole = (value: { readonly atr: string }): boolean => !/^\d{12,19}$/.test(value.atr);
    fc.assert(
      fc.property(evidence.filter(isWhole), (value) => {
        const texts = { at: String(value.at), took: `took ${String(value.tookMs)} ms` };
        assert.equal(holdsCardNumber({ ...value, texts }, '999900******1234'), false);
      }),
      { numRuns: 2_000 },
    );
    // Ends in twelve digits with a valid check digit.
    assert.equal(holdsCardNumber('7b8f9a10-4c3d-4e2f-8a1b-123456789015', null), false);
  });

  it('lets hexadecimal, times, counters and identifiers pass', () => {
    const evidence = {
      cplc: '479050814791210A7FB0000000123456789012',
      at: 1_737_095_282_492,
      counters: [0, 12_345, 999_999_999],
      zeros: '0000000000000000',
      id: '01c5a05e-e197-11ec-8fea-0242ac120002',
    };
    assert.equal(holdsCardNumber(evidence, '999900******1234'), false);
  });
});

describe('reading an order', () => {
  it('never throws and always names a field, whatever comes in', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        const read = readOrder(body);
        assert.ok(!read.ok && read.error.length > 0);
      }),
    );
  });

  it('never throws on any text as a JWE', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9_=-]{0,40}$/);
    fc.assert(
      fc.property(fc.array(part, { minLength: 0, maxLength: 7 }), (parts) => {
        assert.equal(checkJweStructure(parts.join('.')).ok, false);
      }),
    );
  });

  it('gives one canonical text whatever the order of members is', () => {
    const content: OrderContent = {
      persoStation: 'S',
      cardProductId: 'P',
      services: { issuance: 'CREATION', alphaCard: false },
      paymentApplication: { config: 'C', odaKeyIndex: '1', derivationKeyIndex: '1' },
    };
    const { persoStation, ...rest } = content;
    assert.equal(canonicalContent({ ...rest, persoStation }), canonicalContent(content));
    assert.notEqual(canonicalContent({ ...content, cardProductId: 'Q' }), canonicalContent(content));
  });
});

describe('paths', () => {
  it('are brought to the documented spelling and nothing else is', () => {
    const base = '/banking/v1/issuers/ISS0000001';
    assert.equal(
      canonicalUrl(`${base}/physicalcards/c/productionstatus?x=1`),
      `${base}/physicalCards/c/productionStatus?x=1`,
    );
    assert.equal(
      canonicalUrl(`${base}/physicalCards/c/operations%3aproduction`),
      `${base}/physicalCards/c/operations:production`,
    );
    assert.equal(
      canonicalUrl(`${base}/physicalcards/physicalcards/productionStatus`),
      `${base}/physicalCards/physicalcards/productionStatus`,
    );
    for (const path of [
      '/',
      `${base}/physicalCards/physicalcards/productionStatus`,
      `${base}/PHYSICALCARDS/c/productionStatus`,
      '/x?y=/physicalcards/',
    ]) {
      assert.equal(canonicalUrl(path), path);
    }
  });
});

describe('a field name in an answer', () => {
  it('is told when it looks like the name of a member', () => {
    for (const field of [
      'persoStation',
      'cardDesign.images[7]',
      'cardDesign.images.front_1',
      'cards[999].cardId',
    ]) {
      assert.equal(showableField(field), field);
    }
  });

  it('is cut before the first part that a client may have put a value into', () => {
    const cases: [string, string][] = [
      ['9999001234567890', 'body'],
      ['a9999001234567890', 'body'],
      ['services.99990', 'services'],
      ['cardDesign.images[9999001234567890]', 'cardDesign'],
      ['cardDesign.images.TARO YAMADA', 'cardDesign.images'],
      ['cardDesign.images.<script>.x', 'cardDesign.images'],
      ['x'.repeat(65), 'body'],
      ['', 'body'],
    ];
    for (const [field, shown] of cases) assert.equal(showableField(field), shown, field);
  });
});

describe('arming', () => {
  const leased = { state: 'leased', epoch: 3, lease_until: 100 } as const;
  const ready = { state: 'ready' } as const;
  it('is allowed only for a live lease of the same epoch in a live order', () => {
    assert.equal(decideArm(leased, ready, 3, 99), 'arm');
    const code = (decision: ReturnType<typeof decideArm>): string =>
      typeof decision === 'string' ? decision : decision.code;
    assert.equal(code(decideArm(leased, ready, 3, 100)), 'NOT_LEASED');
    assert.equal(code(decideArm(leased, ready, 2, 99)), 'STALE_EPOCH');
    assert.equal(
      code(decideArm({ ...leased, state: 'queued', lease_until: null }, ready, 3, 99)),
      'NOT_LEASED',
    );
    assert.equal(code(decideArm(leased, { state: 'canceled' }, 3, 99)), 'ORDER_ENDED');
    assert.equal(
      decideArm({ ...leased, state: 'print', lease_until: null }, { state: 'in_production' }, 3, 99),
      'already',
    );
    assert.equal(
      code(decideArm({ ...leased, state: 'spoiled', lease_until: null }, ready, 3, 99)),
      'NOT_LEASED',
    );
  });
});

describe('outcomes', () => {
  const report = {
    kind: 'outcome',
    outcome: 'spoiled',
    personalizationSent: false,
    terminated: false,
    blanksPicked: 1,
    evidence: {},
  } as const;
  it('count a released script as data sent, and unknown faults as a device fault', () => {
    assert.deepEqual(outcomeOf({ ...report, fault: 'SMOKE' }, { script_released_at: 5 }), {
      outcome: 'spoiled',
      fault: 'DEVICE_FAULT',
      personalizationSent: true,
      terminated: false,
    });
    assert.equal(findContradiction(report), undefined);
  });

  it('know a chip by its production data, else by its diversification data', () => {
    assert.equal(chipIdentityOf({ atr: '3B', cplc: 'AA' }, '00'.repeat(12)), 'cplc:AA');
    assert.equal(chipIdentityOf({ atr: '3B', cplc: null }, '01'.repeat(12)), `kdd:${'01'.repeat(10)}`);
  });
});

describe('back-off', () => {
  it('doubles from half a second to half a minute and never beyond', () => {
    assert.deepEqual([0, 1, 2, 6, 7, 1_000].map(backOffMs), [500, 1_000, 2_000, 30_000, 30_000, 30_000]);
  });
});

describe('the configuration', () => {
  const config: ServerConfig = {
    environment: 'production',
    dataFolder: '/d',
    tls: { certFile: 'a', keyFile: 'b' },
    issuerListener: { host: 'h', port: 0, clientCaFile: 'c' },
    stationListener: { host: 'h', port: 0, clientCaFile: 'c' },
    operatorListener: { host: 'h', port: 0, clientCaFile: 'c' },
    publicOrigin: 'https://x',
    vault: { origin: 'https://v', caFile: 'c', certFile: 'a', keyFile: 'b' },
    tokenSigningKeyFile: 'k',
    issuers: [],
    products: [],
    stations: [],
  };
  it('refuses what the schema cannot see: unknown names, repetitions, simulated stations in production', () => {
    assert.deepEqual(findConfigFaults(config), []);
    const jwk = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } as const;
    const station = {
      stationId: 'KIOSK-SIM-OK',
      issuerIds: ['ISS0000009'],
      clientThumbprint: 't',
      payloadKey: jwk,
    };
    const issuer = {
      issuerId: 'ISS0000001',
      clientThumbprints: ['t1'],
      signingKeys: [
        { kid: 'a', jwk },
        { kid: 'a', jwk },
      ],
      defaultProductId: 'NONE',
    };
    const product = {
      productId: 'P',
      paymentConfigs: ['C'],
      keyIndexes: { oda: ['1', '01'], derivation: [], cv: [], pv: [] },
      remake: { maxRemakes: 1, remakeAfterTerminate: false },
    };
    const faults = findConfigFaults({
      ...config,
      stations: [station, station],
      issuers: [issuer],
      products: [product],
    });
    for (const part of [
      'stationId appears twice',
      'no such issuer',
      'not for production',
      'kid appears twice',
      'no such product',
      'oda: one index',
    ]) {
      assert.ok(
        faults.some((fault) => fault.includes(part)),
        part,
      );
    }
  });
});
