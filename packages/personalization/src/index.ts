/** Secure channels, host side, and the script that personalizes one chip. */
export { type SecureChannelProtocol } from './card-response.ts';
export {
  beginSecureChannel,
  createPersonalizationScript,
  type PersonalizationInstance,
  type PersonalizationRequest,
  type PersonalizationScript,
  type PreparedDgi,
  type ScriptStep,
} from './personalization-script.ts';
export { type StoreDataPacking } from './store-data.ts';
