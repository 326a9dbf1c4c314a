/**
 * Every input of chapters 3, 4 and 8 that an INSTANT order must be refused for, as a table: what is wrong, which
 * code and field the answer must carry. A case puts its canary wherever the wrong value can carry one.
 */
import { type Json } from './d1-client.ts';

type ErrorCode = 'FIELD_INVALID_FORMAT' | 'FIELD_INVALID_VALUE';

export interface RefusedOrder {
  readonly what: string;
  readonly errorCode: ErrorCode;
  readonly field: string;
  /** Members that replace those of a good order; `undefined` leaves one out. */
  readonly change: (canary: string, good: Json) => Json;
}

const format = (what: string, field: string, change: RefusedOrder['change']): RefusedOrder => ({
  what,
  errorCode: 'FIELD_INVALID_FORMAT',
  field,
  change,
});
const value = (what: string, field: string, change: RefusedOrder['change']): RefusedOrder => ({
  what,
  errorCode: 'FIELD_INVALID_VALUE',
  field,
  change,
});

const inServices = (canary: string, members: Json): Json => ({
  services: { issuance: 'CREATION', priority: canary, ...members },
});
const inPayment = (good: Json, members: Json): Json => ({
  paymentApplication: { ...(good['paymentApplication'] as Json), ...members },
});

const required: readonly RefusedOrder[] = [
  'distributionChannel',
  'persoStation',
  'encryptedData',
  'services',
  'paymentApplication',
].map((member) => format(`no ${member}`, member, () => ({ [member]: undefined })));

/** Wrong types of every member, one after the other. */
const wrongTypes: readonly RefusedOrder[] = [
  'distributionChannel',
  'persoStation',
  'encryptedData',
  'cardProductId',
  'consumerId',
  'issuerRequestId',
].flatMap((member) =>
  [5, null, true, ['x'], { a: 'x' }].map((wrong) =>
    format(`${member} of type ${JSON.stringify(wrong)}`, member, () => ({ [member]: wrong })),
  ),
);
const notObjects: readonly RefusedOrder[] = ['services', 'paymentApplication', 'cardDesign'].flatMap(
  (member) =>
    [null, [], 'x', 7].map((wrong) =>
      format(`${member} of type ${JSON.stringify(wrong)}`, member, () => ({ [member]: wrong })),
    ),
);

const patterns: readonly RefusedOrder[] = (
  [
    ['persoStation', 64],
    ['cardProductId', 48],
    ['consumerId', 64],
    ['issuerRequestId', 64],
  ] as const
).flatMap(([member, longest]) => [
  format(`an empty ${member}`, member, () => ({ [member]: '' })),
  format(`a ${member} with a blank`, member, (canary) => ({ [member]: `${canary} x` })),
  format(`a ${member} with a line end`, member, (canary) => ({ [member]: `${canary}\n` })),
  format(`a ${member} with a letter outside ASCII`, member, (canary) => ({ [member]: `${canary}é` })),
  format(`a ${member} that is too long`, member, (canary) => ({
    [member]: canary.padEnd(longest + 1, 'x'),
  })),
]);

const unknownMembers: readonly RefusedOrder[] = [
  format('an unknown member', 'surprise', (canary) => ({ surprise: canary })),
  format('a member in other case', 'PersoStation', (canary) => ({ PersoStation: canary })),
  format('an unknown member of services', 'services.surprise', (canary) =>
    inServices(canary, { surprise: 1 }),
  ),
  format('an unknown member of paymentApplication', 'paymentApplication.emvTags', (canary, good) =>
    inPayment(good, { emvTags: canary }),
  ),
  format('an unknown member of cardDesign', 'cardDesign.logo', (canary) => ({
    cardDesign: { logo: canary },
  })),
  format('a card number as the name of a member', 'body', () => ({ '9999001234567890': 1 })),
  format('a card number as the name of a member inside', 'services', (canary) =>
    inServices(canary, { 'x 9999 0012 3456 7890': 1 }),
  ),
];

const channel: readonly RefusedOrder[] = [
  ...['THALES', 'CENTRAL', 'instant'].map((one) =>
    value(`channel ${one}`, 'distributionChannel', () => ({ distributionChannel: one })),
  ),
  value('a channel that does not exist', 'distributionChannel', (canary) => ({
    distributionChannel: canary,
  })),
  value('a shipment', 'shipment', (canary) => ({ shipment: { address: canary } })),
  value('a card carrier', 'cardCarrierConfig', (canary) => ({ cardCarrierConfig: { id: canary } })),
  value('tracks in clear', 'trackData', (canary) => ({ trackData: { track2: canary } })),
];

const services: readonly RefusedOrder[] = [
  format('services without issuance', 'services.issuance', () => ({ services: {} })),
  format('issuance of another type', 'services.issuance', () => ({ services: { issuance: 1 } })),
  value('an issuance that does not exist', 'services.issuance', (canary) => ({
    services: { issuance: canary },
  })),
  value('a PIN mailer', 'services.pinMailer', (canary) => inServices(canary, { pinMailer: true })),
  format('a PIN mailer as text', 'services.pinMailer', (canary) => inServices('', { pinMailer: canary })),
  value('a delivery', 'services.delivery', (canary) => inServices('', { delivery: canary })),
  value('a carrier', 'services.cardCarrier', (canary) => inServices('', { cardCarrier: canary })),
  value('a packaging', 'services.packaging', (canary) => inServices('', { packaging: canary })),
  format('a delivery of another type', 'services.delivery', () => inServices('', { delivery: false })),
  format('a sample card as text', 'services.alphaCard', (canary) => inServices('', { alphaCard: canary })),
  format('a priority that is too long', 'services.priority', (canary) =>
    inServices(canary.padEnd(65, 'x'), {}),
  ),
  format('a priority of another type', 'services.priority', () => inServices('', { priority: 1 })),
];

const indexes = ['odaKeyIndex', 'derivationKeyIndex', 'cvKeyIndex', 'pvKeyIndex'] as const;
const payment: readonly RefusedOrder[] = [
  ...['config', 'odaKeyIndex', 'derivationKeyIndex'].map((member) =>
    format(`no ${member}`, `paymentApplication.${member}`, (_canary, good) =>
      inPayment(good, { [member]: undefined }),
    ),
  ),
  format('a malformed config', 'paymentApplication.config', (canary, good) =>
    inPayment(good, { config: `${canary}.x` }),
  ),
  format('a config that is too long', 'paymentApplication.config', (canary, good) =>
    inPayment(good, { config: canary.padEnd(65, 'x') }),
  ),
  value('an unknown config', 'paymentApplication.config', (canary, good) =>
    inPayment(good, { config: canary }),
  ),
  ...indexes.flatMap((member) => [
    value(`an unknown ${member}`, `paymentApplication.${member}`, (_canary, good) =>
      inPayment(good, { [member]: '7' }),
    ),
    value(`an unknown ${member} as a number`, `paymentApplication.${member}`, (_canary, good) =>
      inPayment(good, { [member]: 10 }),
    ),
    format(`a malformed ${member}`, `paymentApplication.${member}`, (canary, good) =>
      inPayment(good, { [member]: `${canary}-too-long-for-it` }),
    ),
    format(`a ${member} that is no integer`, `paymentApplication.${member}`, (_canary, good) =>
      inPayment(good, { [member]: 1.5 }),
    ),
    format(`a negative ${member}`, `paymentApplication.${member}`, (_canary, good) =>
      inPayment(good, { [member]: -1 }),
    ),
    format(`a ${member} that is null`, `paymentApplication.${member}`, (_canary, good) =>
      inPayment(good, { [member]: null }),
    ),
  ]),
];

const references: readonly RefusedOrder[] = [
  value('an unknown station', 'persoStation', (canary) => ({ persoStation: canary })),
  value('a station in other case', 'persoStation', () => ({ persoStation: 'kiosk-ps-101' })),
  value("another issuer's station", 'persoStation', () => ({ persoStation: 'KIOSK-PS-900' })),
  value('a simulated outcome that is not offered', 'persoStation', () => ({ persoStation: 'KIOSK-SIM-OK' })),
  value('an unknown product', 'cardProductId', (canary) => ({ cardProductId: canary })),
  value('a product in other case', 'cardProductId', () => ({ cardProductId: 'debit_std' })),
  value('a product named like a member of every object', 'cardProductId', () => ({
    cardProductId: 'constructor',
  })),
];

const design: readonly RefusedOrder[] = [
  format('a card image that is no id', 'cardDesign.cardImage', (canary) => ({
    cardDesign: { cardImage: `../${canary}` },
  })),
  format('nine images', 'cardDesign.images', (canary) => ({
    cardDesign: { images: Array.from({ length: 9 }, () => canary) },
  })),
  format('an image that is no id', 'cardDesign.images[1]', (canary) => ({
    cardDesign: { images: ['a', `${canary}/b`] },
  })),
  format('nine lines', 'cardDesign.customLines', (canary) => ({
    cardDesign: { customLines: Array.from({ length: 9 }, () => canary) },
  })),
  format('a line that is too long', 'cardDesign.customLines[0]', (canary) => ({
    cardDesign: { customLines: [canary.padEnd(65, 'x')] },
  })),
  format('a line that is a number', 'cardDesign.customLines[0]', () => ({
    cardDesign: { customLines: [4711] },
  })),
  format('lines that are one text', 'cardDesign.customLines', (canary) => ({
    cardDesign: { customLines: canary },
  })),
  format('a slot whose line is too long', 'cardDesign.customLines.top', (canary) => ({
    cardDesign: { customLines: { top: canary.padEnd(65, 'x') } },
  })),
  format('a member id that is too long', 'cardDesign.memberId', (canary) => ({
    cardDesign: { memberId: canary.padEnd(65, 'x') },
  })),
];

/** All cases but those about the JWE's inside, which need a real one to break. */
export const refusedOrders: readonly RefusedOrder[] = [
  ...required,
  ...wrongTypes,
  ...notObjects,
  ...patterns,
  ...unknownMembers,
  ...channel,
  ...services,
  ...payment,
  ...references,
  ...design,
];
