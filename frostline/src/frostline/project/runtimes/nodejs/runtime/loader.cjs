'use strict';
// Finds and loads a function's handler: `index.handler`, `src/app.handler`, `index.nested.handler`; CommonJS or ES modules.

const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { CallbackHandlerDeprecated, HandlerNotFound, ImportModuleError, MalformedHandlerName, UserCodeSyntaxError } = require('./errors.cjs');
const { HttpResponseStream, streamifyResponse } = require('./streaming.cjs');

const major = Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV ?? '')?.[1] ?? process.versions.node.split('.')[0]);

// AWS's runtimes from Node.js 24 on know no callbacks.
const CALLBACKS = major < 24;

// Whether `.js` files of a folder are ES modules.
function isModuleFolder(folder) {
  for (let at = folder; !at.endsWith('/node_modules'); at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (at === path.dirname(at)) break;
  }
  return false;
}

// AWS lets `import` find packages on NODE_PATH (layers), which Node does for `require` only.
function importFromNodePath() {
  const wanted = (process.env.NODE_PATH ?? '').split(':').some((folder) => folder.endsWith('/node_modules') && fs.existsSync(folder));
  if (!wanted) return;
  const module = require('module');
  const resolver = module.createRequire(path.join(__dirname, 'index.cjs'));
  const bare = /^(?![./]|[a-z]+:)/;
  if (module.registerHooks) {
    module.registerHooks({
      resolve(specifier, context, nextResolve) {
        try {
          return nextResolve(specifier, context);
        } catch (error) {
          if (error.code !== 'ERR_MODULE_NOT_FOUND' || !bare.test(specifier)) throw error;
          try {
            return nextResolve(pathToFileURL(resolver.resolve(specifier)).href, context);
          } catch {
            throw error;
          }
        }
      },
    });
  } else if (module.register) {
    module.register(pathToFileURL(path.join(__dirname, 'node_path.mjs')));
  }
}

function importFile(file) {
  importFromNodePath();
  return import(pathToFileURL(file).href);
}

// The order is that of AWS's client.
async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  const existing = (extension) => fs.existsSync(file + extension) && file + extension;
  if (existing('') && fs.statSync(file).isFile()) return require(file);
  if (existing('.js')) return isModuleFolder(path.dirname(file)) ? importFile(file + '.js') : require(file + '.js');
  if (existing('.mjs')) return importFile(file + '.mjs');
  if (existing('.cjs')) return require(file + '.cjs');
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

async function loadHandler(root, handler) {
  if (handler.includes('..')) {
    throw new MalformedHandlerName(
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const folder = handler.slice(0, handler.lastIndexOf('/') + 1);
  const parts = /^([^.]*)\.(.*)$/.exec(handler.slice(folder.length));
  if (!parts) throw new MalformedHandlerName('Bad handler');

  const disabled = ['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA);
  if (!disabled) globalThis.awslambda = { streamifyResponse, HttpResponseStream };

  let loaded;
  try {
    loaded = await loadModule(root, folder, parts[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw new UserCodeSyntaxError(error);
    if (error?.code === 'MODULE_NOT_FOUND') throw new ImportModuleError(error);
    throw error;
  }
  const found = parts[2].split('.').reduce((object, key) => object && object[key], loaded);
  if (!found) throw new HandlerNotFound(`${handler} is undefined or not exported`);
  if (typeof found !== 'function') throw new HandlerNotFound(`${handler} is not a function`);
  if (!CALLBACKS && found.length > 2 && !(Symbol.for('aws.lambda.runtime.handler.streaming') in found)) {
    throw new CallbackHandlerDeprecated(
      'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a '
      + 'supported handler signature to use Node.js 24 or later. For more information see '
      + 'https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.');
  }
  return found;
}

module.exports = { CALLBACKS, loadHandler };
