// planProbes(path, mode) and listTlsObjects(mode): what klartext doctor and the tests see of placement and discovery.
#include "addon.hpp"
#include "discovery.hpp"
#include "placement.hpp"

namespace klartext {

namespace {

// Offsets are file offsets, below 2^53 for any file that exists.
Napi::Value number_or_null(Napi::Env env, uint64_t value) {
  if (value == NO_OFFSET) return env.Null();
  return Napi::Number::New(env, static_cast<double>(value));
}

const char *cost_name(Cost cost) { return cost == Cost::emulated ? "emulated" : "single_step"; }

Napi::Object point_object(Napi::Env env, const ProbePoint &point, bool x86) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("role", role_name(point.role));
  object.Set("symbol", point.symbol);
  object.Set("functionOffset", number_or_null(env, point.function_offset));
  object.Set("entryOffset", number_or_null(env, point.entry_offset));
  object.Set("returnOffset", number_or_null(env, point.return_offset));
  object.Set("entryCost", cost_name(point.entry_cost));
  object.Set("returnCost", point.return_offset == NO_OFFSET ? env.Null() : Napi::Value(Napi::String::New(env, cost_name(point.return_cost))));
  object.Set("instruction", point.instruction);
  Napi::Array arguments = Napi::Array::New(env);
  for (const Register reg : point.arguments) {
    if (reg == REGISTER_NONE) break;
    arguments.Set(arguments.Length(), x86 ? std::string(register_name(reg)) : "x" + std::to_string(reg));
  }
  object.Set("arguments", arguments);
  return object;
}

} // namespace

Napi::Object plan_object(Napi::Env env, const ProbePlan &plan) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", library_kind_name(plan.kind));
  object.Set("version", plan.version);
  object.Set("buildId", plan.build_id);
  Napi::Array points = Napi::Array::New(env, plan.points.size());
  for (size_t i = 0; i < plan.points.size(); i++) {
    points.Set(static_cast<uint32_t>(i), point_object(env, plan.points[i], plan.machine == Machine::x86_64));
  }
  object.Set("points", points);
  object.Set("reason", plan.reason);
  object.Set("note", plan.note);
  return object;
}

namespace {

// An optional mode argument; false leaves an exception pending.
bool take_mode(const Napi::CallbackInfo &info, size_t index, PlacementMode &mode) {
  if (info.Length() <= index || info[index].IsUndefined()) return true;
  const std::string name = info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : "";
  if (name == "conventional") mode = PlacementMode::conventional;
  else if (name == "emulated") mode = PlacementMode::emulated;
  else Napi::TypeError::New(info.Env(), "placement mode must be 'emulated' or 'conventional'").ThrowAsJavaScriptException();
  return name == "conventional" || name == "emulated";
}

// planProbes(path: string, mode?: 'emulated' | 'conventional'): ProbePlan. Throws TypeError on other arguments only.
Napi::Value plan_probes_js(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsString()) {
    Napi::TypeError::New(env, "planProbes: path must be a string").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  PlacementMode mode = PlacementMode::emulated;
  if (!take_mode(info, 1, mode)) return env.Undefined();
  return plan_object(env, plan_probes(info[0].As<Napi::String>().Utf8Value(), mode));
}

Napi::Object object_object(Napi::Env env, const MappedObject &mapped) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", mapped.kind);
  object.Set("path", mapped.path);
  object.Set("device", Napi::BigInt::New(env, mapped.identity.device));
  object.Set("inode", Napi::BigInt::New(env, mapped.identity.inode));
  object.Set("plan", plan_object(env, mapped.plan));
  Napi::Array processes = Napi::Array::New(env, mapped.processes.size());
  for (size_t i = 0; i < mapped.processes.size(); i++) {
    const ProcessInfo &info = mapped.processes[i];
    Napi::Object process = Napi::Object::New(env);
    process.Set("pid", info.pid);
    process.Set("startNs", Napi::BigInt::New(env, info.start_ns));
    process.Set("comm", info.comm);
    process.Set("containerId", info.cgroup.container_id);
    processes.Set(static_cast<uint32_t>(i), process);
  }
  object.Set("processes", processes);
  return object;
}

// listTlsObjects(mode?): every file with TLS in it that a process maps now. Takes some ms to some hundred ms, on the
// calling thread; sees only processes it may read (all, when root).
Napi::Value list_tls_objects_js(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  PlacementMode mode = PlacementMode::emulated;
  if (!take_mode(info, 0, mode)) return env.Undefined();
  Discovery discovery(mode);
  discovery.scan();
  Napi::Array list = Napi::Array::New(env);
  for (const auto &object : discovery.objects()) list.Set(list.Length(), object_object(env, *object));
  return list;
}

} // namespace

void init_plan(Napi::Env env, Napi::Object exports) {
  exports.Set("planProbes", Napi::Function::New(env, plan_probes_js, "planProbes"));
  exports.Set("listTlsObjects", Napi::Function::New(env, list_tls_objects_js, "listTlsObjects"));
}

} // namespace klartext
