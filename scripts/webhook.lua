-- sse.webhook: an endpoint that other services call, with a signature over the body; what comes is published.

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"
local routes = require "sse.routes"

local M = {}

local ALGORITHMS = { "sha1", "sha256", "sha384", "sha512" }

--- The HMAC of a text (RFC 2104) as hex digits.
---@param algorithm "sha1"|"sha256"|"sha384"|"sha512"
---@param key string
---@param data string
---@return string
function M.hmac(algorithm, key, data)
  options.argument("sse.hmac", 1, "algorithm", algorithm, { type = "string", values = ALGORITHMS })
  -- A message would show the key.
  options.argument("sse.hmac", 2, "key", type(key) == "string" and "" or nil, "string")
  options.argument("sse.hmac", 3, "data", data, "string")
  return core.hmac(algorithm, key, data)
end

--- List of secrets, or false: never a message, which would show the value.
local function secrets_of(value)
  local secrets = type(value) == "table" and value or { value }
  for _, secret in pairs(secrets) do
    if type(secret) ~= "string" or secret == "" then
      return false
    end
  end
  return #secrets > 0 and table.move(secrets, 1, #secrets, 1, {})
end

local function channel_rule(value)
  if type(value) == "string" and value ~= "" and not core.is_pattern(value) or type(value) == "userdata" then
    return value
  end
  return nil, "must be a channel or its name"
end

local function event_rule(value)
  if type(value) == "string" and not value:find "[\r\n\0]" or type(value) == "function" then
    return value
  end
  return nil, "must be an event's name, or a function of the data and the request that returns the event"
end

local RULES = {
  secret = { type = secrets_of },
  scheme = { type = "string", values = { "github", "stripe", "hmac-sha256" }, default = "hmac-sha256" },
  header = { type = "string" },
  tolerance = { type = "duration", default = "5m" },
  channel = { type = channel_rule, required = true },
  event = { type = event_rule },
}

--- Whether one of the signatures is that of the text under one of the secrets. Every pair is compared, so the time says
--- nothing about which one is near.
local function is_signed(secrets, text, signatures)
  local good = false
  for _, secret in ipairs(secrets) do
    local wanted = core.hmac("sha256", secret, text)
    for _, signature in ipairs(signatures) do
      good = core.equal(signature:lower(), wanted) or good
    end
  end
  return good
end

---@class sse.webhook.Scheme
---@field header string
---@field verify fun(header: string, req: sse.Request, checked: table): boolean?, string?
---@field name fun(req: sse.Request, data: any): string? of the event
---@field key fun(req: sse.Request, data: any): string? the same for every delivery of one event

local function plain(header, req, checked)
  return is_signed(checked.secret, req.body, { (header:gsub("^sha256=", "")) })
end

local function text_field(data, name)
  local value = type(data) == "table" and data[name]
  return type(value) == "string" and value or nil
end

---@type table<string, sse.webhook.Scheme>
local schemes = {}

schemes["hmac-sha256"] = { header = "X-Signature", verify = plain, name = function() end, key = function() end }

schemes.github = {
  header = "X-Hub-Signature-256",
  verify = plain,
  name = function(req)
    return req.headers["x-github-event"]
  end,
  key = function(req)
    return req.headers["x-github-delivery"]
  end,
}

--- "t=1492774577,v1=5257a8...,v1=..." over the time, a dot and the body. An old one may be a replay.
local function verify_stripe(header, req, checked)
  local time, signatures = nil, {}
  for name, value in header:gmatch "([%w]+)=([^,%s]+)" do
    if name == "t" then
      time = time or value
    elseif name == "v1" and #signatures < 16 then
      signatures[#signatures + 1] = value
    end
  end
  local seconds = time and time:match "^%d+$" and tonumber(time)
  if not seconds or not is_signed(checked.secret, time .. "." .. req.body, signatures) then
    return false
  elseif math.abs(core.now() - seconds) > checked.tolerance then
    return false, "the signature is too old"
  end
  return true
end

schemes.stripe = {
  header = "Stripe-Signature",
  verify = verify_stripe,
  name = function(_, data)
    return text_field(data, "type")
  end,
  key = function(_, data)
    return text_field(data, "id")
  end,
}

local function check(path, given)
  options.argument("sse.webhook", 1, "path", path, "string")
  local checked = options.check("sse.webhook", given, RULES)
  if not checked.secret then
    options.raise(
      "sse.webhook: option 'secret' must be a string that is not empty, or a list of such strings; "
        .. "when it comes from os.getenv, the environment variable is probably not set"
    )
  end
  return checked
end

--- What was sent: JSON as a value, other bodies as they are. GitHub can send JSON as a form's field, too.
local function data_of(req)
  local kind = (req.headers["content-type"] or ""):lower()
  local text = kind:find("^application/x%-www%-form%-urlencoded") and req:form().payload or req.body
  local value, message = json.decode(text)
  return message and text or value
end

--- The event, or nil when the script wants none of it.
local function event_of(req, checked, scheme)
  local data = data_of(req)
  local event = { data = data, event = scheme.name(req, data) }
  if type(checked.event) == "string" then
    event.event = checked.event
  elseif checked.event then
    local made = checked.event(data, req)
    if type(made) == "table" then
      event = made
    elseif type(made) == "string" then
      event.event = made
    else
      return nil
    end
  end
  local key = scheme.key(req, data)
  event.idempotency_key = event.idempotency_key or key and key ~= "" and #key <= 150 and req.path .. " " .. key or nil
  return event
end

local function receive(req, checked, scheme)
  local header = req.headers[(checked.header or scheme.header):lower()]
  if not header or header == "" then
    return 401, { error = "a signature is needed" }
  end
  local good, message = scheme.verify(header, req, checked)
  if not good then
    return 403, { error = message or "the signature is not valid" }
  end
  local event = event_of(req, checked, scheme)
  if not event then
    return 204
  end
  local problem, status = core.event_problem(checked.channel, event)
  if problem then
    return status, { error = problem }
  end
  local id, answer = core.publish(checked.channel, event)
  if not id then
    return 503, { error = answer }, { ["Retry-After"] = "1" }
  end
  return 200, { id = id }
end

--- Makes an endpoint for another service's events. The body must be signed with the secret: no signature is answered
--- with 401, a wrong one with 403. A repeated delivery is published once.
---@param path string
---@param given { secret: string|string[], scheme: string?, header: string?, tolerance: any, channel: any, event: any }
function M.route(path, given)
  local checked = check(path, given)
  local scheme = schemes[checked.scheme]
  routes.add("POST", path, function(req)
    return receive(req, checked, scheme)
  end)
end

return M
