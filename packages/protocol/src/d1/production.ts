/** Produce physical card, INSTANT channel: request and answer (d1-api contract, chapter 3). */
import { type Static, Type } from 'typebox';
import {
  CardId,
  CardProductId,
  ConsumerId,
  IssuerId,
  IssuerRequestId,
  KeyIndex,
  OperationId,
  PersoStation,
} from './identifiers.ts';

const closed = { additionalProperties: false } as const;

export const Services = Type.Object(
  {
    issuance: Type.Union([Type.Literal('CREATION'), Type.Literal('RENEWAL'), Type.Literal('REPLACEMENT')]),
    priority: Type.Optional(Type.String({ maxLength: 64 })),
    delivery: Type.Optional(Type.String({ maxLength: 64 })),
    cardCarrier: Type.Optional(Type.String({ maxLength: 64 })),
    packaging: Type.Optional(Type.String({ maxLength: 64 })),
    pinMailer: Type.Optional(Type.Boolean()),
    alphaCard: Type.Optional(Type.Boolean()),
  },
  closed,
);

export const PaymentApplication = Type.Object(
  {
    config: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    odaKeyIndex: KeyIndex,
    derivationKeyIndex: KeyIndex,
    cvKeyIndex: Type.Optional(KeyIndex),
    pvKeyIndex: Type.Optional(KeyIndex),
  },
  closed,
);
export type PaymentApplication = Static<typeof PaymentApplication>;

const ImageId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
const CustomLine = Type.String({ maxLength: 64 });

export const CardDesign = Type.Object(
  {
    cardImage: Type.Optional(ImageId),
    images: Type.Optional(
      Type.Union([
        Type.Array(ImageId, { maxItems: 8 }),
        Type.Record(Type.String(), ImageId, { maxProperties: 8 }),
      ]),
    ),
    customLines: Type.Optional(
      Type.Union([
        Type.Array(CustomLine, { maxItems: 8 }),
        Type.Record(Type.String(), CustomLine, { maxProperties: 8 }),
      ]),
    ),
    memberId: Type.Optional(Type.String({ maxLength: 64 })),
  },
  closed,
);
export type CardDesign = Static<typeof CardDesign>;

/** `cardRequestInstant`. `cardProductId` may be absent only when the issuer has a default product (OD-3.1). */
export const CardRequestInstant = Type.Object(
  {
    distributionChannel: Type.Literal('INSTANT'),
    persoStation: PersoStation,
    encryptedData: Type.String({
      minLength: 1,
      maxLength: 8192,
      description: 'Compact JWE of the card data',
    }),
    services: Services,
    paymentApplication: PaymentApplication,
    cardProductId: Type.Optional(CardProductId),
    consumerId: Type.Optional(ConsumerId),
    issuerRequestId: Type.Optional(IssuerRequestId),
    cardDesign: Type.Optional(CardDesign),
  },
  { ...closed, $id: 'cardRequestInstant' },
);
export type CardRequestInstant = Static<typeof CardRequestInstant>;

export const ProductionPath = Type.Object({ issuerId: IssuerId, cardId: CardId });
export type ProductionPath = Static<typeof ProductionPath>;

export const ProductionAccepted = Type.Object({ operationId: OperationId });
export type ProductionAccepted = Static<typeof ProductionAccepted>;
