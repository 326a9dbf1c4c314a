/** The card device port and its drivers. */
export * from './apdu-channel.ts';
export * from './chip-reader.ts';
export * from './device-fault.ts';
export * from './port.ts';
export { type EvolisDeviceOptions, type EvolisLimits, createEvolisDevice } from './evolis/evolis-device.ts';
export { type VpcdReader, type VpcdReaderOptions, listenVpcd } from './vpcd/vpcd-reader.ts';
