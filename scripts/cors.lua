-- Cross-origin access: which pages of other origins a browser lets read the answers.

local options = require "sse.options"

local M = {}

local HEADERS = { "Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "Last-Event-ID" }
local METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

---@class sse.cors.Options
---@field origins string|string[]|(fun(origin: string): boolean)|nil "*" (the default), origins such as
---  "https://example.com" or "https://*.example.com", or a function that says yes or no
---@field methods string|string[]|nil allowed methods; those of the route when absent
---@field headers string|string[]|nil request headers that a page may set; "*" for all
---@field expose string|string[]|nil response headers that a page may read
---@field credentials boolean? whether cookies and Authorization may come along; not with origins "*"
---@field max_age string|number|nil how long a browser remembers the preflight; "1h" when absent

---@class sse.cors
---@field private origins table
---@field private checked table
local Cors = {}
Cors.__index = Cors

local function list_text(value)
  if type(value) == "string" then
    return value
  elseif type(value) ~= "table" then
    return nil, "must be a string or a list of strings"
  end
  for _, item in ipairs(value) do
    if type(item) ~= "string" then
      return nil, "must be a string or a list of strings"
    end
  end
  return table.concat(value, ", ")
end

--- Adds one origin to `rules`: to the exact ones, or as a pattern. False when it is no origin.
local function add_origin(rules, origin)
  origin = origin:lower()
  if origin == "*" then
    rules.any = true
  elseif origin == "null" or origin:find "^%a[%w+.-]*://[^/?#%s*]+$" then
    rules.exact[origin] = true
  elseif origin:find "^%a[%w+.-]*://%*%.[^/?#%s*]+$" then
    local escaped = origin:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("%%%*", "[%%w-][%%w.-]*", 1)
    rules.patterns[#rules.patterns + 1] = "^" .. escaped .. "$"
  else
    return false
  end
  return true
end

local function origin_rules(value)
  local rules = { any = false, exact = {}, patterns = {} }
  if type(value) == "function" then
    rules.ask = value
    return rules
  end
  local origins = type(value) == "table" and value or { value }
  for _, origin in ipairs(origins) do
    if type(origin) ~= "string" or not add_origin(rules, origin) then
      return nil, 'must be "*", or origins such as "https://example.com" or "https://*.example.com", without a path'
    end
  end
  return rules
end

local RULES = {
  origins = { type = origin_rules, default = "*" },
  methods = { type = list_text },
  headers = { type = list_text, default = HEADERS },
  expose = { type = list_text },
  credentials = { type = "boolean", default = false },
  max_age = { type = "duration", default = "1h" },
}

---@param given sse.cors.Options?
---@return sse.cors
function M.new(given)
  local checked = options.check("sse.cors", given, RULES)
  if checked.credentials and checked.origins.any then
    options.raise(
      'sse.cors: credentials with origins "*" would let every page read what its visitor may read; '
        .. "name the origins"
    )
  end
  return setmetatable({ origins = checked.origins, checked = checked }, Cors)
end

local function matches(rules, origin)
  local lower = origin:lower()
  if rules.exact[lower] then
    return true
  end
  for _, pattern in ipairs(rules.patterns) do
    if lower:find(pattern) then
      return true
    end
  end
  return false
end

--- What Access-Control-Allow-Origin says; nil when the origin is not allowed.
local function allowed_origin(rules, origin)
  if rules.any then
    return "*"
  elseif not origin then
    return nil
  end
  local allowed
  if rules.ask then
    allowed = rules.ask(origin)
  else
    allowed = matches(rules, origin)
  end
  return allowed and origin or nil
end

local function add_vary(headers, field)
  for name, value in pairs(headers) do
    if name:lower() == "vary" then
      headers[name] = value .. ", " .. field
      return
    end
  end
  headers.Vary = field
end

--- Adds what lets the page of the request's origin in. False when it is not allowed.
local function admit(self, req, headers)
  if not self.origins.any then
    add_vary(headers, "Origin")
  end
  local allowed = allowed_origin(self.origins, req.headers.origin)
  if not allowed then
    return false
  end
  headers["Access-Control-Allow-Origin"] = allowed
  headers["Access-Control-Allow-Credentials"] = self.checked.credentials and "true" or nil
  return true
end

--- Adds to the headers of an answer what the browser needs to let the page read it.
---@param req table
---@param headers table<string, string>
function Cors:apply(req, headers)
  if admit(self, req, headers) then
    headers["Access-Control-Expose-Headers"] = self.checked.expose
  end
end

local function allowed_headers(self, req)
  if self.checked.headers ~= "*" then
    return self.checked.headers
  end
  return req.headers["access-control-request-headers"]
end

--- Answers a browser's question before the real request. Nothing when the request is no such question.
---@param req table
---@param allow string? methods of the path, as in the Allow header
---@return integer? status
---@return nil body
---@return table<string, string>? headers
function Cors:preflight(req, allow)
  local asked = req.method == "OPTIONS" and req.headers.origin and req.headers["access-control-request-method"]
  if not asked then
    return nil
  end
  local headers = {}
  if self.checked.headers == "*" then
    add_vary(headers, "Access-Control-Request-Headers")
  end
  if admit(self, req, headers) then
    headers["Access-Control-Allow-Methods"] = self.checked.methods or allow or METHODS
    headers["Access-Control-Allow-Headers"] = allowed_headers(self, req)
    headers["Access-Control-Max-Age"] = ("%d"):format(self.checked.max_age // 1)
  end
  return 204, nil, headers
end

return M
