#include "addon.hpp"

namespace klartext {

void init_plan(Napi::Env, Napi::Object) {}

} // namespace klartext
