/**
 * The content of an order as it is kept and compared (OD-3.10): the clear body without `encryptedData`, with
 * defaults filled in and key indexes in the product's own spelling, in one canonical JSON text.
 */
import { type CardDesign, type PaymentApplication } from '@cardwright/protocol';

export interface OrderContent {
  readonly persoStation: string;
  readonly cardProductId: string;
  readonly consumerId?: string;
  readonly issuerRequestId?: string;
  readonly services: {
    readonly issuance: 'CREATION' | 'RENEWAL' | 'REPLACEMENT';
    readonly priority?: string;
    readonly alphaCard: boolean;
  };
  readonly paymentApplication: PaymentApplication;
  readonly cardDesign?: CardDesign;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    members
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]): [string, unknown] => [name, sorted(member)]),
  );
}

/** Equal texts for equal contents, whatever the order of members was. */
export function canonicalContent(content: OrderContent): string {
  return JSON.stringify(sorted(content));
}

/** Reads back what `canonicalContent` wrote. */
export function parseContent(text: string): OrderContent {
  return JSON.parse(text) as OrderContent;
}
