/** What every Cardwright process needs around its work. */
export * from './card-number-scan.ts';
export * from './clock.ts';
export * from './config.ts';
export * from './crash-point.ts';
export * from './identifier.ts';
export * from './logger.ts';
export * from './mutual-tls.ts';
export * from './process.ts';
export * from './sensitive.ts';
