/**
 * Where the sandbox keeps everything: one folder, which `npm run reset` removes.
 *
 * Each process owns one sub-folder and reads nothing of the others; only this package knows them all.
 */
import { join } from 'node:path';

export const sandboxFacts = {
  issuerId: 'ISS0000001',
  issuerName: 'Kotori Bank',
  productId: 'DEBIT_STD',
  paymentConfig: 'CCD_3DES_01',
  /** The second product: another chip layout, keys of its own. */
  vsdcProductId: 'DEBIT_VSDC',
  vsdcPaymentConfig: 'VSDC_CVN18_01',
  keyIndex: '01',
  stationId: 'KIOSK-PS-101',
  signingKid: 'iss-key-1',
  oauthClientId: 'cardwright',
  printerDevice: 'Cardwright Simulator',
  testPanPrefix: '999900',
} as const;

export const componentNames = ['vault', 'server', 'simulator', 'agent', 'issuer'] as const;
export type ComponentName = (typeof componentNames)[number];

export interface SandboxPorts {
  readonly issuerApi: number;
  readonly station: number;
  readonly operator: number;
  readonly vault: number;
  readonly notifications: number;
  readonly issuerApp: number;
  readonly printer: number;
  readonly chip: number;
}

/** The fixed ports of `npm start`: one block, so that a firewall rule or a clash is easy to see. */
export const startPorts: SandboxPorts = {
  issuerApi: 18440,
  station: 18441,
  operator: 18442,
  vault: 18443,
  notifications: 18444,
  issuerApp: 18445,
  printer: 18446,
  chip: 18447,
};

export interface SandboxLayout {
  readonly folder: string;
  readonly ports: SandboxPorts;
  readonly pki: string;
  readonly component: (name: ComponentName) => string;
  readonly configFile: (name: ComponentName) => string;
  readonly operator: string;
}

export function sandboxLayout(folder: string, ports: SandboxPorts): SandboxLayout {
  const component = (name: ComponentName): string => join(folder, name);
  return {
    folder,
    ports,
    pki: join(folder, 'pki'),
    component,
    configFile: (name) => join(component(name), 'config.json'),
    operator: join(folder, 'operator'),
  };
}
