// The module's exports. Probe planning and discovery live in addon_plan.cpp, capture in its own file.
#include <napi.h>

#include "addon.hpp"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  klartext::init_plan(env, exports);
  if (klartext::init_capture) klartext::init_capture(env, exports);
  return exports;
}

} // namespace

NODE_API_MODULE(klartext, init)
