import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../bench/peers/${path}`, import.meta.url), 'utf8');

test('T45: what the benchmark compares with is pinned by content, in a package of its own whose install scripts don’t run', () => {
  const manifest = JSON.parse(read('package.json')) as { private: boolean; dependencies: Record<string, string>; scripts?: object };
  expect(manifest.private).toBe(true);
  expect(manifest.scripts).toBeUndefined();
  expect(Object.entries(manifest.dependencies).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { integrity?: string; dependencies?: object }>;
  };
  expect(packages['']!.dependencies).toEqual(manifest.dependencies);
  expect(Object.entries(packages).filter(([path, { integrity }]) => path !== '' && !/^sha512-/.test(integrity ?? ''))).toEqual([]);
  expect(read('.npmrc')).toContain('ignore-scripts=true');
});
