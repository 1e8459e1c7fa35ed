// Module hooks for Node.js without `module.registerHooks` (before 22.15): see `importFromNodePath` in loader.cjs.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const resolver = createRequire(import.meta.url);

export async function resolve(specifier, context, nextResolve) {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || !/^(?![./]|[a-z]+:)/.test(specifier)) throw error;
    try {
      return await nextResolve(pathToFileURL(resolver.resolve(specifier)).href, context);
    } catch {
      throw error;
    }
  }
}
