import { cacheConformance } from '../../../test/conformance/cache.js'
import { MemoryCache } from './cache.js'

const cache = new MemoryCache()
cacheConformance(async () => cache)
