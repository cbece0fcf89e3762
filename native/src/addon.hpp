// Hooks by which each part of the addon adds its exports. Called once per environment, on its JavaScript thread.
#pragma once

#include <napi.h>

namespace klartext {

void init_plan(Napi::Env env, Napi::Object exports);
// Weak: an addon built without the capture part still plans and lists.
void init_capture(Napi::Env env, Napi::Object exports) __attribute__((weak));

} // namespace klartext
