/** Shared by tests only; nothing that runs in production imports it. */
export * from './canary-scan.ts';
export * from './memory-scan.ts';
export * from './postgres-cluster.ts';
export * from './test-authority.ts';
export * from './test-scheme-ca.ts';
