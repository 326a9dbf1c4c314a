/** Who and what the server knows: issuers, products and stations by their identifiers. Read-only after start. */
import { type Clock } from '@cardwright/runtime';
import { type IssuerConfig, type ProductConfig, type ServerConfig, type StationConfig } from './config.ts';
import { type Store } from './store/store.ts';

export interface Catalogue {
  readonly issuers: ReadonlyMap<string, IssuerConfig>;
  readonly products: ReadonlyMap<string, ProductConfig>;
  readonly stations: ReadonlyMap<string, StationConfig>;
  /** Stations by the thumbprint of the certificate they must show. */
  readonly stationsByThumbprint: ReadonlyMap<string, StationConfig>;
}

export function createCatalogue(config: ServerConfig): Catalogue {
  return {
    issuers: new Map(config.issuers.map((issuer) => [issuer.issuerId, issuer])),
    products: new Map(config.products.map((product) => [product.productId, product])),
    stations: new Map(config.stations.map((station) => [station.stationId, station])),
    stationsByThumbprint: new Map(config.stations.map((station) => [station.clientThumbprint, station])),
  };
}

/** Makes the database know what the configuration names; what it no longer names stays, as inactive. */
export async function saveCatalogue(store: Store, catalogue: Catalogue, clock: Clock): Promise<void> {
  const now = clock.now();
  await store.transaction(async (tx) => {
    // Nodes that start together take turns; stations that are served meanwhile only wait.
    await tx.lockName('catalogue', 'all');
    for (const table of ['issuers', 'products', 'stations'] as const) {
      await tx.db
        .updateTable(table)
        .set({ is_active: 0, updated_at: now })
        .where('is_active', '=', 1)
        .execute();
    }
    for (const issuerId of catalogue.issuers.keys()) {
      await tx.db
        .insertInto('issuers')
        .values({ issuer_id: issuerId, is_active: 1, updated_at: now })
        .onConflict((conflict) => conflict.column('issuer_id').doUpdateSet({ is_active: 1, updated_at: now }))
        .execute();
    }
    for (const productId of catalogue.products.keys()) {
      await tx.db
        .insertInto('products')
        .values({ product_id: productId, is_active: 1, updated_at: now })
        .onConflict((conflict) =>
          conflict.column('product_id').doUpdateSet({ is_active: 1, updated_at: now }),
        )
        .execute();
    }
    for (const station of catalogue.stations.values()) {
      const values = { is_active: 1, client_thumbprint: station.clientThumbprint, updated_at: now } as const;
      await tx.db
        .insertInto('stations')
        .values({ station_id: station.stationId, ...values })
        .onConflict((conflict) => conflict.column('station_id').doUpdateSet(values))
        .execute();
    }
  });
}
