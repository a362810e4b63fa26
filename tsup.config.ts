import { defineConfig, type Options } from 'tsup';

const common: Options = {
  format: ['esm'],
  target: 'es2022',
  dts: false,
  sourcemap: true,
  splitting: true,
  // Chunks import from one another, and nothing for its effects alone: bundlers warn of such imports in a package without side effects.
  treeshake: { moduleSideEffects: false },
  // The command takes sealed stores from the package itself: a worker stands beside their file, wherever that is imported from.
  external: [/^node:/, /^#/, /^@cyphr\//, /^@noble\//, 'ws', 'classic-level', 'idb', 'pkcs11js'],
};

/** `npm run build` empties dist/ before. */
export default defineConfig([
  {
    ...common,
    platform: 'neutral',
    entry: {
      index: 'src/index.ts',
      errors: 'src/errors.ts',
      otel: 'src/otel.ts',
      'store/memory': 'src/store/memory.ts',
      'store/node': 'src/store/node.ts',
      'store/idb': 'src/store/idb.ts',
      'store/sealed': 'src/store/sealed.ts',
      // Stands beside store/sealed.js, which starts it by a relative URL.
      'store/argon2-worker': 'src/store/sealed/argon2-worker.ts',
      'store/pkcs11': 'src/store/pkcs11.ts',
      'transport/memory': 'src/transport/memory.ts',
      'transport/websocket': 'src/transport/websocket.ts',
      'transport/socket/node': 'src/transport/socket/node.ts',
      'transport/socket/platform': 'src/transport/socket/platform.ts',
      'crypto/backend/node': 'src/crypto/backend/node.ts',
      'crypto/backend/noble': 'src/crypto/backend/noble.ts',
      'pqxdh/index': 'src/pqxdh/index.ts',
      'ratchet/index': 'src/ratchet/index.ts',
      'testing/index': 'src/testing/index.ts',
      'selftest/index': 'src/selftest/index.ts',
    },
  },
  {
    ...common,
    // Apart from the library, whose chunks stay as small as they are without it.
    entry: { main: 'src/cli/main.ts' },
    outDir: 'dist/cli',
    platform: 'node',
    removeNodeProtocol: false,
    // What it bundles asks for Node's modules by `require`.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    noExternal: ['cli-progress'],
  },
]);
