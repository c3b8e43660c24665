-- The `sse` module: what scripts require. Behaviour is here and in the files beside, state is in C.

local auth = require "sse.auth"
local blocking = require "sse.blocking"
local controls = require "sse.controls"
local core = require "sse.core"
local describe = require "sse.describe"
local fetch = require "sse.fetch"
local exec = require "sse.exec"
local filter = require "sse.filter"
local hooks = require "sse.hooks"
local json = require "sse.json"
local log = require "sse.log"
local options = require "sse.options"
local pipe = require "sse.pipe"
local poll = require "sse.poll"
local publisher = require "sse.publisher"
local record = require "sse.record"
local replay = require "sse.replay"
local resets = require "sse.resets"
local routes = require "sse.routes"
local stages = require "sse.stages"
local state = require "sse.state"
local static = require "sse.static"
local stream = require "sse.stream"
local subscription = require "sse.subscription"
local system = require "sse.system"
local tail = require "sse.tail"
local timers = require "sse.timers"
local units = require "sse.units"
local upstream = require "sse.upstream"
local watch = require "sse.watch"
local webhook = require "sse.webhook"

local sse = {
  array = json.array,
  after = timers.after,
  auth = auth,
  controls = function(path, given)
    routes.add("POST", path .. "/:id", controls.handler(given))
  end,
  cors = routes.cors,
  every = timers.every,
  fetch = fetch.fetch,
  exec = exec.exec,
  find_stream = controls.find,
  filter = filter.define,
  hmac = webhook.hmac,
  json = json,
  log = log,
  now = core.now,
  null = json.null,
  on = hooks.on,
  batch = stages.batch,
  debounce = stages.debounce,
  dedupe = stages.dedupe,
  sample = stages.sample,
  throttle = stages.throttle,
  pipe = pipe.pipe,
  poll = poll.poll,
  publish = core.publish,
  publisher = publisher.route,
  record = record.record,
  reload = core.reload,
  replay = replay.replay,
  state = state.get,
  stats = core.counters,
  sleep = timers.sleep,
  spawn = timers.spawn,
  stream = stream.new,
  subscribe = subscription.new,
  system = system.read,
  tail = tail.tail,
  upstream = upstream.upstream,
  use = routes.use,
  watch = watch.watch,
  webhook = webhook.route,
}

for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "ANY" } do
  sse[method:lower()] = function(path, ...)
    routes.add(method, path, ...)
  end
end

--- Listens on an address: "HOST:PORT", ":PORT", "[IPV6]:PORT" or "unix:PATH". --listen overrides all.
---@param address string
function sse.listen(address)
  options.argument("sse.listen", 1, "address", address, "string")
  local host, port = address:match "^(.*):(%d+)$"
  port = tonumber(port or address:match "^%d+$")
  if not address:find "^unix:" and (not port or port > 65535 or host and host:find "[/%s]") then
    options.raise(("sse.listen: '%s' is no address to listen on; write HOST:PORT, [IPV6]:PORT or unix:PATH")
      :format(address))
  end
  core.listen(address)
end

--- Keeps the logs of channels in a database: `sse.store "sqlite:feeds.db"`, before the first channel. An event is
--- then on disk before it is published. With `default = false` only channels with `durable = true` are kept there.
---@param where string "sqlite:PATH"; a relative path begins where the router was started
---@param given { default: boolean? }?
function sse.store(where, given)
  options.argument("sse.store", 1, "where", where, "string")
  local checked = options.check("sse.store", given, { default = { type = "boolean", default = true } })
  local path = where:match "^sqlite:(.+)$"
  if not path then
    options.raise(('sse.store: argument 1 must be "sqlite:PATH", got %q'):format(where))
  end
  core.store(path, checked.default)
end

local function key_rule(value)
  if type(value) == "string" or type(value) == "function" then
    return value
  end
  return nil, "must be a field's name or a function of the event"
end

local CHANNEL_RULES = {
  history = { type = "integer", min = 0, max = 10000000, default = 100 },
  max_age = { type = "duration" },
  max_bytes = { type = "size", default = 16 * 1024 * 1024 },
  key = { type = key_rule },
  on_lag = { type = "string", values = { "disconnect", "skip" }, default = "disconnect" },
  on_reset = { type = resets.rule },
  durable = { type = "boolean" },
  durability = { type = "string", values = { "full", "relaxed" }, default = "full" },
  max_stored = { type = "size" },
}

--- The channel of that name, with these options from now on.
---@param name string
---@param given sse.ChannelOptions?
---@return sse.Channel
function sse.channel(name, given)
  options.argument("sse.channel", 1, "name", name, "string")
  local checked = options.check("sse.channel", given, CHANNEL_RULES)
  checked.reset = resets.define(name, checked.on_reset)
  return core.channel(name, checked)
end

local function one_character(value)
  if type(value) == "string" and #value == 1 then
    return value
  end
  return nil, "must be one character"
end

--- The parts of "a,b,c" without the spaces around them; none for nil or "".
---@param text string?
---@param separator string? one character; "," when absent
---@return string[]
function sse.split(text, separator)
  local parts = {}
  options.argument("sse.split", 1, "text", text, { type = "string", default = "" })
  options.argument("sse.split", 2, "separator", separator, { type = one_character, default = "," })
  for part in (text or ""):gmatch("[^" .. (separator or ","):gsub("%W", "%%%0") .. "]+") do
    local kept = part:match "^.*%S"
    parts[#parts + 1] = kept and kept:match "^%s*(.*)"
  end
  return parts
end

--- A value for a `<close>` variable: `fn` runs when the variable goes out of scope, also when a client leaves.
---@param fn function
---@return table
function sse.defer(fn)
  options.argument("sse.defer", 1, "function", fn, "function")
  return setmetatable({}, { __close = fn })
end

--- Serves the files of a folder; a relative one begins at the script's own.
---@param prefix string
---@param folder string
---@param given sse.static.Options?
function sse.static(prefix, folder, given)
  local handler = static.handler(prefix, folder, given)
  for _, pattern in ipairs(static.patterns(prefix)) do
    routes.add("GET", pattern, handler)
  end
end

--- A handler that serves one file; a relative path begins at the script's folder.
---@param path string
---@param given sse.static.Options?
---@return fun(req: sse.Request): ...
function sse.file(path, given)
  options.argument("sse.file", 1, "path", path, "string")
  local folder, name = path:match "^(.*/)([^/]+)$"
  local handler = static.handler("/", folder or ".", given)
  static.warn_missing("sse.file", folder or ".", name or path)
  return function(req)
    return handler(setmetatable({ params = { file = name or path } }, { __index = req }))
  end
end

local EVENT_FIELDS = { "event", "data", "id", "retry", "key", "meta", "idempotency_key" }

--- Raises because of a field that no event has.
local function check_event(event)
  local known = {}
  for _, name in ipairs(EVENT_FIELDS) do
    known[name] = true
  end
  for name in pairs(event) do
    if not known[name] then
      local nearest = type(name) == "string" and options.nearest(name, EVENT_FIELDS)
      options.raise(("an event has no field '%s' (%s)"):format(tostring(name),
        nearest and ("did you mean '%s'?"):format(nearest) or "it has " .. table.concat(EVENT_FIELDS, ", ")))
    end
  end
end

core.hooks {
  dispatch = routes.dispatch,
  fail = routes.fail,
  encode = json.encode,
  decode = json.decode,
  duration = units.duration,
  event = check_event,
  emit = hooks.emit,
  keeps = routes.keeps,
  refilter = filter.for_key,
  describe = describe.text,
}

blocking.watch()

local function names_of(module)
  local names = {}
  for name in pairs(module) do
    names[#names + 1] = name
  end
  return names
end

--- A function that is not there is a typo.
local function raise_unknown(module, name)
  local nearest = type(name) == "string" and options.nearest(name, names_of(module))
  local hint = nearest and (" (did you mean '%s'?)"):format(nearest) or ""
  options.raise(("sse has no '%s'%s"):format(tostring(name), hint))
end

return setmetatable(sse, { __index = raise_unknown })
