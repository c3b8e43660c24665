-- sse.fetch: requests to other servers.

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"

local M = {}

--- The most that one header may have, so that a mistake does not become a large request.
local LONGEST_HEADER = 16384

---@class sse.Response
---@field status integer
---@field headers table<string, string> by lower-case name; repeated ones joined by ", "
---@field body string
---@field url string where it came from, after redirects
local Response = {}
Response.__index = Response

--- The body as JSON.
---@return any value nil when it is none
---@return string? message
function Response:json()
  return json.decode(self.body)
end

local function header_line(name, value)
  if type(name) ~= "string" or not name:match "^[%w!#$%%&'*+.^_`|~-]+$" then
    return nil, ("must be a table of names and values; %q is no header's name"):format(tostring(name))
  elseif type(value) == "number" then
    value = tostring(value)
  end
  if type(value) ~= "string" or value:find "[\r\n\0]" or #value > LONGEST_HEADER then
    return nil, ("must have texts of one line as values; that of %s is none"):format(name)
  end
  -- To curl, a name with nothing behind the colon removes a header.
  return value:match "^%s*$" and name .. ";" or name .. ": " .. value
end

--- Converter of the option `headers`: lines for curl, and the set of lower-case names.
function M.headers(value)
  if type(value) ~= "table" then
    return nil, "must be a table of names and values"
  end
  local lines, names = {}, {}
  for name, text in pairs(value) do
    local line, message = header_line(name, text)
    if not line then
      return nil, message
    end
    lines[#lines + 1] = line
    names[name:lower()] = true
  end
  return { lines = lines, names = names }
end

--- Converter of the option `ca`: a relative path begins at the script's folder.
function M.ca(value)
  if type(value) ~= "string" or value == "" then
    return nil, "must be the path of a file of certificates"
  end
  return value:sub(1, 1) == "/" and value or core.script_dir() .. value
end

local function is_method(value)
  if type(value) == "string" and value:match "^%u+$" then
    return value
  end
  return nil, 'must be a method in capital letters, such as "POST"'
end

local function is_body(value)
  if type(value) == "string" or type(value) == "table" then
    return value
  end
  return nil, "must be a text, or a table that is sent as JSON"
end

--- Options of every request; sse.poll has them, too.
M.RULES = {
  method = { type = is_method },
  headers = { type = M.headers, default = {} },
  body = { type = is_body },
  timeout = { type = "duration", default = "30s" },
  max_body = { type = "size", default = "10M" },
  follow = { type = "integer", min = 0, max = 50, default = 5 },
  ca = { type = M.ca },
  insecure = { type = "boolean" },
}

--- Adds a header that the caller has not given.
function M.add_header(headers, name, value)
  if not headers.names[name:lower()] then
    headers.lines[#headers.lines + 1] = name .. ": " .. value
  end
end

--- The lines and names again, so that one request's additions are not the next one's.
function M.copy_headers(headers)
  local names = {}
  for name in pairs(headers.names) do
    names[name] = true
  end
  return { lines = table.move(headers.lines, 1, #headers.lines, 1, {}), names = names }
end

--- Whether a text could be a URL of ours: http or https, and nothing that ends a request's line.
function M.is_url(text)
  return type(text) == "string" and text:match "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#%s]" ~= nil and not text:find "[%c ]"
end

--- What may be shown of a URL: neither its query nor a password.
function M.show_url(url)
  return (url:gsub("[?#].*$", ""):gsub("^(%a+://)[^/]*@", "%1"))
end

local function milliseconds(seconds)
  return math.max(1, math.ceil(seconds * 1000))
end

local function body_of(checked)
  local body, headers = checked.body, checked.headers
  if type(body) == "table" then
    body = json.encode(body, "body")
    M.add_header(headers, "Content-Type", "application/json")
  elseif body then
    M.add_header(headers, "Content-Type", "text/plain; charset=utf-8")
  end
  M.add_header(headers, "User-Agent", "sse-router")
  -- A server that does not know "100-continue" would cost a second.
  headers.lines[#headers.lines + 1] = "Expect:"
  return body
end

--- Starts a request with checked options.
---@return userdata transfer
function M.open(url, checked)
  local body = body_of(checked)
  return core.transfer {
    url = url,
    method = checked.method or body and "POST" or "GET",
    headers = checked.headers.lines,
    body = body,
    ca = checked.ca,
    insecure = checked.insecure,
    identity = checked.identity,
    timeout = checked.timeout and milliseconds(checked.timeout) or 0,
    connect_timeout = milliseconds(math.min(checked.timeout or 30, 30)),
    follow = checked.follow,
  }
end

--- Headers of a response's head, as curl has received it.
function M.parse_head(text)
  local headers = {}
  for name, value in text:gmatch "\n([^%s:]+):[ \t]*([^\r\n]*)" do
    name, value = name:lower(), value:match "^(.-)%s*$"
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return headers
end

local function read_body(transfer, limit)
  local parts, size = {}, 0
  while true do
    local bytes, message, code = transfer:read()
    if not bytes then
      if message then
        return nil, message, code
      end
      return table.concat(parts)
    end
    size = size + #bytes
    if size > limit then
      return nil, ("the response has more than %d bytes"):format(limit), "ETOOBIG"
    end
    parts[#parts + 1] = bytes
  end
end

--- A request with checked options, to its end.
function M.run(url, checked)
  if not M.is_url(url) then
    return nil, "this is no URL with http:// or https://", "EURL"
  end
  local transfer <close> = M.open(url, checked)
  local status, head, final = transfer:head()
  if not status then
    return nil, head, final
  end
  local body, message, code = read_body(transfer, checked.max_body)
  if not body then
    return nil, message, code
  end
  return setmetatable({ status = status, headers = M.parse_head(head), body = body, url = final }, Response)
end

--- Asks another server, and waits for the whole response. A response of any status is one; without one there is nil,
--- a message and a code: "ETIMEDOUT", "ECONNREFUSED", "ENOTFOUND", "ETLS", "ETOOBIG", ...
---@param url string
---@param given table?
---@return sse.Response?
---@return string? message
---@return string? code
function M.fetch(url, given)
  options.argument("sse.fetch", 1, "url", url, "string")
  local checked = options.check("sse.fetch", given, M.RULES)
  core.can_wait "sse.fetch"
  return M.run(url, checked)
end

return M
