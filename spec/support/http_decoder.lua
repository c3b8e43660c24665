-- A strict decoder of HTTP/1.1 responses: pure, fed with bytes in any portions, and it raises on whatever
-- a well-behaved server does not send. It calls its handler with what it finds.

local M = {}

---@class support.HttpHead
---@field version string "1.1"
---@field status integer
---@field reason string
---@field headers table<string, string> names in lower case; repeated ones joined with ", "
---@field list { [1]: string, [2]: string }[] as received

---@class support.HttpHandler
---@field on_head fun(self, head: support.HttpHead)
---@field on_body fun(self, bytes: string)
---@field on_end fun(self)

---@class support.HttpDecoder
---@field state string "head" | "sized" | "size line" | "chunk" | "chunk end" | "last" | "until close"
local Decoder = {}
Decoder.__index = Decoder

local largest_head = 65536

--- `method_of` says which request the next final response answers, since HEAD has no body.
---@param handler support.HttpHandler
---@param method_of (fun(): string|nil)|nil
---@return support.HttpDecoder
function M.new(handler, method_of)
  local self = { handler = handler, method_of = method_of, buffer = "", at = 1, state = "head" }
  return setmetatable(self, Decoder)
end

local function quoted(bytes)
  return ("%q"):format(bytes:sub(1, 200))
end

local function parse_header_line(line, head)
  local name, value = line:match "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.-)[ \t]*$"
  if not name or value:find "[%z\r\n]" then
    error("malformed header line " .. quoted(line), 0)
  end
  table.insert(head.list, { name, value })
  name = name:lower()
  local before = head.headers[name]
  head.headers[name] = before and before .. ", " .. value or value
end

--- Parses what stands before the empty line.
---@param text string
---@return support.HttpHead
function M.parse_head(text)
  local first, rest = text:match "^([^\r\n]*)\r\n(.*)$"
  first, rest = first or text, rest or ""
  local version, status, reason = first:match "^HTTP/(1%.[01]) (%d%d%d) ([^%c]*)$"
  if not version then
    error("malformed status line " .. quoted(first), 0)
  end
  local head = { version = version, status = tonumber(status), reason = reason, headers = {}, list = {} }
  if rest:gsub("\r\n", ""):find "[\r\n]" then
    error("bare CR or LF in the head " .. quoted(rest), 0)
  end
  for line in (rest .. "\r\n"):gmatch "(.-)\r\n" do
    if line ~= "" then
      parse_header_line(line, head)
    end
  end
  return head
end

--- How the body of this response is framed: a state, and the size if there is one (RFC 9112, section 6.3).
local function framing(head, method)
  local coding, length = head.headers["transfer-encoding"], head.headers["content-length"]
  if coding and length then
    error("a response with Transfer-Encoding and Content-Length", 0)
  end
  if length and not length:find "^%d+$" then
    error("malformed Content-Length " .. quoted(length), 0)
  end
  local status = head.status
  if method == "HEAD" or status < 200 or status == 204 or status == 304 then
    return "sized", 0
  elseif coding then
    if coding:lower() ~= "chunked" or head.version ~= "1.1" then
      error("unexpected Transfer-Encoding " .. quoted(coding), 0)
    end
    return "size line"
  elseif length then
    return "sized", tonumber(length)
  end
  return "until close"
end

local function finish(self)
  self.state = "head"
  self.handler:on_end()
end

--- The bytes not yet used, for messages and short looks.
local function ahead(self, count)
  return self.buffer:sub(self.at, self.at + count - 1)
end

local function left_over(self)
  return #self.buffer - self.at + 1
end

local steps = {}

function steps.head(self)
  local stop, after = self.buffer:find("\r\n\r\n", self.at, true)
  if not stop then
    local start = ahead(self, 7)
    if start ~= ("HTTP/1."):sub(1, #start) then
      error("no status line " .. quoted(ahead(self, 200)), 0)
    elseif left_over(self) > largest_head then
      error("a response head without an end", 0)
    end
    return false
  end
  local head = M.parse_head(self.buffer:sub(self.at, stop - 1))
  self.at = after + 1
  local method = head.status >= 200 and self.method_of and self.method_of() or nil
  self.state, self.left = framing(head, method)
  self.handler:on_head(head)
  if self.state == "sized" and self.left == 0 then
    finish(self)
  end
  return true
end

--- Hands on what is there of the `left` bytes that this part of the body still has.
local function take_body(self)
  local bytes = ahead(self, self.left)
  self.at = self.at + #bytes
  self.left = self.left - #bytes
  if bytes ~= "" then
    self.handler:on_body(bytes)
  end
  return self.left == 0
end

function steps.sized(self)
  if not take_body(self) then
    return false
  end
  finish(self)
  return true
end

steps["size line"] = function(self)
  local digits, after = self.buffer:match("^(%x+)\r\n()", self.at)
  if not digits then
    local start = ahead(self, 17)
    if #start > 16 or not (start:find "^%x*$" or start:find "^%x+\r$") then
      error("malformed chunk size " .. quoted(start), 0)
    end
    return false
  end
  self.at = after
  self.left = tonumber(digits, 16)
  self.state = self.left == 0 and "last" or "chunk"
  return true
end

function steps.chunk(self)
  if not take_body(self) then
    return false
  end
  self.state = "chunk end"
  return true
end

local function take_line_end(self)
  local start = ahead(self, 2)
  if start ~= ("\r\n"):sub(1, #start) then
    error("no CRLF after a chunk " .. quoted(ahead(self, 200)), 0)
  elseif #start < 2 then
    return false
  end
  self.at = self.at + 2
  return true
end

steps["chunk end"] = function(self)
  if not take_line_end(self) then
    return false
  end
  self.state = "size line"
  return true
end

--- After the last chunk: no trailers, since this router sends none.
function steps.last(self)
  if not take_line_end(self) then
    return false
  end
  finish(self)
  return true
end

steps["until close"] = function(self)
  self.left = left_over(self)
  take_body(self)
  return true
end

--- Raises if the bytes are not what HTTP/1.1 allows here. After `pause` from within the handler the rest
--- waits for `resume` and the next `feed`, which may have no bytes of its own.
---@param bytes string
function Decoder:feed(bytes)
  self.buffer = left_over(self) == 0 and bytes or self.buffer:sub(self.at) .. bytes
  self.at = 1
  while left_over(self) > 0 and not self.paused and steps[self.state](self) do -- luacheck: ignore 542
  end
  if left_over(self) == 0 then
    self.buffer, self.at = "", 1
  end
end

function Decoder:pause()
  self.paused = true
end

function Decoder:resume()
  self.paused = false
end

--- The bytes that no response has used yet.
---@return string
function Decoder:rest()
  return self.buffer:sub(self.at)
end

--- The peer ended the stream. Gives "complete" if that is a good place to end, otherwise "truncated".
---@return "complete" | "truncated"
function Decoder:finish()
  if self.state == "until close" then
    finish(self)
    return "complete"
  end
  return self.state == "head" and left_over(self) == 0 and "complete" or "truncated"
end

return M
