-- Guards: functions of the request that return nothing to let it pass, or the answer that ends it.

local core = require "sse.core"
local options = require "sse.options"

local M = {}

---@class sse.auth.TokenOptions
---@field secret string|string[] the token, or several that are all good (to change one without a gap)
---@field scope string? what handlers find in `req.claims.scope`
---@field query string|false|nil name of the query parameter; "token" when absent, false for none
---@field header boolean? whether `Authorization: Bearer` counts; true when absent

--- List of secrets, or false: never a message, which would show the value.
local function secrets_of(value)
  local secrets = type(value) == "table" and value or { value }
  local count = 0
  for _, secret in pairs(secrets) do
    if type(secret) ~= "string" or secret == "" then
      return false
    end
    count = count + 1
  end
  return count > 0 and count == #secrets and table.move(secrets, 1, count, 1, {})
end

local function query_name(value)
  if value == false or type(value) == "string" and value ~= "" then
    return value
  end
  return nil, "must be the name of a query parameter, or false"
end

local TOKEN_RULES = {
  secret = { type = secrets_of },
  scope = { type = "string" },
  query = { type = query_name },
  header = { type = "boolean", default = true },
}

local function check(given)
  local checked = options.check("sse.auth.token", given, TOKEN_RULES)
  if not checked.secret then
    options.raise(
      "sse.auth.token: option 'secret' must be a string that is not empty, or a list of such strings; "
        .. "when it comes from os.getenv, the environment variable is probably not set"
    )
  end
  if checked.query == nil then
    checked.query = "token"
  elseif not checked.query and not checked.header then
    options.raise "sse.auth.token: with query = false and header = false no token could ever arrive"
  end
  return checked
end

local function bearer_token(req)
  local header = req.headers.authorization
  local scheme, token = (header or ""):match "^(%a+) +(.-) *$"
  if scheme and scheme:lower() == "bearer" then
    return token
  end
end

-- Compares with every secret whatever the outcome, so the time says nothing about which one is near.
local function is_known(secrets, token)
  local known = false
  for _, secret in ipairs(secrets) do
    known = core.equal(secret, token) or known
  end
  return known
end

--- Guard that wants one of a few shared tokens: `?token=` or `Authorization: Bearer`. None is answered
--- with 401, a wrong one with 403. What passes has `req.claims`.
---@param given sse.auth.TokenOptions
---@return fun(req: table): integer?, table?, table?
function M.token(given)
  local checked = check(given)
  local query = checked.query
  return function(req)
    local token = checked.header and bearer_token(req) or query and req.query[query] or ""
    if token == "" then
      return 401, { error = "a token is needed" }, { ["WWW-Authenticate"] = "Bearer" }
    elseif not is_known(checked.secret, token) then
      return 403, { error = "the token is not valid" }
    end
    req.claims = { scope = checked.scope }
  end
end

return M
