/** The `operations` object: the same in notifications and in productionStatus (d1-api contract, 4.1 and 5). */
import { type Static, Type } from 'typebox';
import { CardId, IssuerRequestId, OperationId } from './identifiers.ts';

const Timestamp = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' });

/** As we emit it: `details` always there, `issuerRequestId` at the top level (OD-5.6). */
export const CardOperation = Type.Object({
  operationId: OperationId,
  operation: Type.Literal('PRODUCE'),
  status: Type.Union([Type.Literal('PENDING'), Type.Literal('SUCCESSFUL'), Type.Literal('FAILED')]),
  startTime: Timestamp,
  endTime: Type.Optional(Timestamp),
  cardId: CardId,
  issuerRequestId: Type.Optional(IssuerRequestId),
  errorCode: Type.Optional(Type.String({ maxLength: 64 })),
  error: Type.Optional(Type.String({ maxLength: 128 })),
  details: Type.Object({
    status: Type.Union([
      Type.Literal('CARD_PROD_REQUESTED'),
      Type.Literal('CARD_PROD_READY'),
      Type.Literal('CARD_PROD_DONE'),
      Type.Literal('DATA_EXCEPTION'),
      Type.Literal('CARD_PROD_EXCEPTION'),
      Type.Literal('CARD_PROD_CANCELED'),
    ]),
    reason: Type.Optional(Type.String({ maxLength: 128 })),
  }),
});
export type CardOperation = Static<typeof CardOperation>;

export const CardOperations = Type.Object({ operations: Type.Array(CardOperation) });
export type CardOperations = Static<typeof CardOperations>;

/** As a client must read it: D1 may add fields and values, so nothing is closed (traps 7, 8, 14). */
export const ReadableCardOperation = Type.Object({
  operationId: Type.String({ minLength: 1, maxLength: 64 }),
  operation: Type.String(),
  status: Type.String(),
  startTime: Type.String(),
  endTime: Type.Optional(Type.String()),
  cardId: Type.String(),
  issuerRequestId: Type.Optional(Type.String()),
  errorCode: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
  details: Type.Optional(
    Type.Object({
      status: Type.String(),
      reason: Type.Optional(Type.String()),
      issuerRequestId: Type.Optional(Type.String()),
    }),
  ),
});
export type ReadableCardOperation = Static<typeof ReadableCardOperation>;
export const ReadableCardOperations = Type.Object({ operations: Type.Array(ReadableCardOperation) });

/** Where notifications go on the issuer's side: `{base}` + this, with the issuer's id. */
export function notificationPath(issuerId: string): string {
  return `/notifications/d1/v2/issuers/${issuerId}/cards`;
}
