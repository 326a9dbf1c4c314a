/**
 * Reading one order: from a parsed body to a checked request, or the first field in error (OD-3.1 to OD-3.6,
 * OD-3.9). Pure: everything it knows is given to it.
 */
import {
  CardRequestInstant,
  check,
  type D1ErrorCode,
  normalizeKeyIndex,
  type PaymentApplication,
} from '@cardwright/protocol';
import { type IssuerConfig, type ProductConfig, type StationConfig } from '../config.ts';
import { checkJweStructure, maxJweLength } from './jwe-structure.ts';
import { type OrderContent } from './order-content.ts';

export interface FieldRefusal {
  readonly ok: false;
  readonly errorCode: Extract<D1ErrorCode, 'FIELD_INVALID_FORMAT' | 'FIELD_INVALID_VALUE'>;
  readonly error: string;
}

/** An order whose form is right; whether what it names exists is decided by `resolveOrder`. */
export interface ReadOrder {
  readonly ok: true;
  readonly body: CardRequestInstant;
  /** Key that the JWE names. */
  readonly kid: string;
}

const format = (field: string): FieldRefusal => ({
  ok: false,
  errorCode: 'FIELD_INVALID_FORMAT',
  error: field === '' ? 'body' : field,
});
const value = (field: string): FieldRefusal => ({
  ok: false,
  errorCode: 'FIELD_INVALID_VALUE',
  error: field,
});

/** Members that belong to other channels, or into the JWE: known, and not allowed here (OD-3.3, trap 19). */
const notForInstant = ['shipment', 'cardCarrierConfig', 'trackData'];
const issuances: readonly unknown[] = ['CREATION', 'RENEWAL', 'REPLACEMENT'];
const onlyDefault = { delivery: 'NO_SHIPMENT', cardCarrier: 'NO_CARRIER', packaging: 'NO_PACK' } as const;

function isObject(candidate: unknown): candidate is Record<string, unknown> {
  return typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate);
}

/** Rules on values that are well formed: checked before the schema, which would call them malformed. */
function findRefusedValue(body: Record<string, unknown>): FieldRefusal | undefined {
  const channel = body['distributionChannel'];
  if (typeof channel === 'string' && channel !== 'INSTANT') return value('distributionChannel');
  const misplaced = notForInstant.find((member) => member in body);
  if (misplaced !== undefined) return value(misplaced);
  const services = body['services'];
  if (isObject(services)) {
    const { issuance } = services;
    if (typeof issuance === 'string' && !issuances.includes(issuance)) return value('services.issuance');
    if (services['pinMailer'] === true) return value('services.pinMailer');
    for (const [member, allowed] of Object.entries(onlyDefault)) {
      const given = services[member];
      if (typeof given === 'string' && given !== allowed) return value(`services.${member}`);
    }
  }
  const jwe = body['encryptedData'];
  if (typeof jwe === 'string' && (jwe === '' || jwe.length > maxJweLength)) return value('encryptedData');
  return undefined;
}

/** Checks the form of an order. */
export function readOrder(body: unknown): ReadOrder | FieldRefusal {
  if (!isObject(body)) return format('');
  const refused = findRefusedValue(body);
  if (refused !== undefined) return refused;
  const checked = check(CardRequestInstant, body);
  if (!checked.ok) return format(checked.field);
  const jwe = checkJweStructure(checked.value.encryptedData);
  if (!jwe.ok) return value('encryptedData');
  return { ok: true, body: checked.value, kid: jwe.kid };
}

/** Key index as the product spells it, or undefined when the product does not have it. */
function findIndex(allowed: readonly string[], index: string | number): string | undefined {
  return allowed.find((one) => normalizeKeyIndex(one) === normalizeKeyIndex(index));
}

const indexMembers = [
  ['odaKeyIndex', 'oda'],
  ['derivationKeyIndex', 'derivation'],
  ['cvKeyIndex', 'cv'],
  ['pvKeyIndex', 'pv'],
] as const;

/** Rewrites every key index that is given; undefined from `spell` leaves the index as it is. */
function respell(
  payment: PaymentApplication,
  spell: (index: string | number, list: (typeof indexMembers)[number][1]) => string | undefined,
): PaymentApplication {
  const spelled: Partial<Record<(typeof indexMembers)[number][0], string | number>> = {};
  for (const [member, list] of indexMembers) {
    const index = payment[member];
    if (index !== undefined) spelled[member] = spell(index, list) ?? index;
  }
  return { ...payment, ...spelled };
}

/** Key indexes in the product's own spelling, as the vault names its keys. */
export function spellKeyIndexes(
  payment: PaymentApplication,
  product: ProductConfig | undefined,
): PaymentApplication {
  if (product === undefined) return payment;
  return respell(payment, (index, list) => findIndex(product.keyIndexes[list], index));
}

/** Normalizes what an order says, without asking whether it exists: the form in which replays are compared. */
export function contentOf(body: CardRequestInstant, issuer: IssuerConfig): OrderContent {
  const { consumerId, issuerRequestId, cardDesign, services } = body;
  return {
    persoStation: body.persoStation,
    cardProductId: body.cardProductId ?? issuer.defaultProductId ?? '',
    ...(consumerId === undefined ? {} : { consumerId }),
    ...(issuerRequestId === undefined ? {} : { issuerRequestId }),
    services: {
      issuance: services.issuance,
      ...(services.priority === undefined ? {} : { priority: services.priority }),
      alphaCard: services.alphaCard ?? false,
    },
    paymentApplication: respell(body.paymentApplication, normalizeKeyIndex),
    ...(cardDesign === undefined ? {} : { cardDesign }),
  };
}

/** The first thing that the order names and that does not exist. Another issuer's station counts as unknown. */
export function findUnknownReference(
  content: OrderContent,
  issuer: IssuerConfig,
  products: ReadonlyMap<string, ProductConfig>,
  stations: ReadonlyMap<string, StationConfig>,
): FieldRefusal | undefined {
  const station = stations.get(content.persoStation);
  if (station?.issuerIds.includes(issuer.issuerId) !== true) return value('persoStation');
  if (content.cardProductId === '') return format('cardProductId');
  const product = products.get(content.cardProductId);
  if (product === undefined) return value('cardProductId');
  const payment = content.paymentApplication;
  if (!product.paymentConfigs.includes(payment.config)) return value('paymentApplication.config');
  for (const [member, list] of indexMembers) {
    const index = payment[member];
    if (index !== undefined && findIndex(product.keyIndexes[list], index) === undefined) {
      return value(`paymentApplication.${member}`);
    }
  }
  return undefined;
}
