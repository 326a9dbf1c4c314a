/** A virtual EMV card with GlobalPlatform personalization, in process or behind a vpcd reader. */
export { type CardKnobs, type StoreDataFault } from './card-knobs.ts';
export {
  type SecureChannelProtocol,
  REFERENCE_APPLICATION_AID,
  VSDC_APPLICATION_AID,
} from './card-memory.ts';
export { VirtualCardError, type VirtualCardErrorCode } from './virtual-card-error.ts';
export {
  type CardInspection,
  type VirtualCard,
  type VirtualCardOptions,
  createVirtualCard,
} from './virtual-card.ts';
export { type VpcdConnection, type VpcdOptions, connectVpcd } from './vpcd-client.ts';
