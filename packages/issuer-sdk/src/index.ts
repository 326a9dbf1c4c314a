/** The client for issuers: order cards, follow them, receive notifications. */
export { type SigningIdentity } from './access-token.ts';
export { type BasicCredentials, readBasicCredentials } from './basic-credentials.ts';
export {
  applyOperation,
  type CardOperation,
  isFinalStatus,
  issuerRequestIdOf,
  notificationKey,
  type OrderState,
  readOperations,
  type ReadOperations,
} from './card-operation.ts';
export { D1ApiError, D1ConnectionError, D1Error, D1TokenError, D1UnreadableAnswerError } from './d1-error.ts';
export { type TlsIdentity } from './d1-transport.ts';
export {
  type CardOrder,
  createIssuerClient,
  type IssuerClient,
  type IssuerClientOptions,
  type OrderedCard,
  type PreparedOrder,
} from './issuer-client.ts';
export {
  createNotificationMemory,
  createNotificationReceiver,
  type NotificationMemory,
  type NotificationReceiver,
  type NotificationReceiverOptions,
  type NotificationVerdict,
} from './notification-receiver.ts';
export { defaultRetryPolicy, type RetryPolicy } from './retry-policy.ts';
export { isValidPan, luhnCheckDigit, makeTestPan, maskPan, testPanPrefix } from './test-card.ts';
export { type CardData, type CardDesign, type PaymentApplication } from '@cardwright/protocol';
