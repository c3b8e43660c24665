-- However the bytes of requests are cut into packets, the answers are the same. Requests, valid ones and ones
-- with random faults, are sent at once, in random pieces and byte by byte.

local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

local seed = tonumber(os.getenv "SSE_ROUTER_SEED") or os.time()
local rounds = tonumber(os.getenv "SSE_ROUTER_ROUNDS") or 1

local REQUESTS = {
  "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
  "HEAD /ok HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
  "GET /nothing?a=b HTTP/1.1\r\nHost: a.example:80\r\nX-Empty:\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET http://a/hello/you HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
  "GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nGET /\r\n",
  "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
  "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n\r\n0\r\n1\r\n\n\r\n0\r\nX: y\r\n\r\n",
}

local BYTES = "\r\n\r\n\r\n :\t,;0123456789abcdefgGETPOST/HTTP1.\0\127\255"

--- Changes, doubles or drops a byte.
local function with_fault(text)
  local at = math.random(#text)
  local kind = math.random(3)
  local place = math.random(#BYTES)
  local middle = kind == 1 and BYTES:sub(place, place) or kind == 2 and text:sub(at, at):rep(2) or ""
  return text:sub(1, at - 1) .. middle .. text:sub(at + 1)
end

local function random_text()
  local parts = {}
  for index = 1, math.random(3) do
    parts[index] = REQUESTS[math.random(#REQUESTS)]
  end
  local text = table.concat(parts)
  for _ = 1, math.random(0, 3) do
    text = with_fault(text)
  end
  return text
end

--- Statuses without the interim ones, which depend on what came with the head. HEAD's answers have no body,
--- whose absence a raw look at the status lines does not mind.
local function statuses(connection)
  connection:shutdown()
  support.expect_end(connection)
  local found = {}
  for status in ("\n" .. connection:unread()):gmatch "HTTP/1%.1 (%d%d%d) " do
    if status ~= "100" then
      found[#found + 1] = status
    end
  end
  return table.concat(found, " ")
end

local function random_cuts(text)
  local pieces, from = {}, 1
  while from <= #text do
    local length = math.random() < 0.5 and math.random(3) or math.random(60)
    pieces[#pieces + 1] = text:sub(from, from + length - 1)
    from = from + length
  end
  return pieces
end

local function bytes_of(text)
  local pieces = {}
  for at = 1, #text do
    pieces[at] = text:sub(at, at)
  end
  return pieces
end

local function whole(text)
  return { text }
end

--- The statuses for each text, cut by `cut`.
local function outcomes(port, texts, cut)
  local pieces = {}
  for index, text in ipairs(texts) do
    pieces[index] = cut(text)
  end
  local found = {}
  for index, connection in ipairs(support.drip(port, pieces)) do
    found[index] = statuses(connection)
  end
  return found
end

describe("answers do not depend on how requests are cut", function()
  teardown(server.stop_all)

  it(("(seed %d)"):format(seed), function()
    math.randomseed(seed)
    local router = support.start()
    for _ = 1, rounds do
      local texts = table.move(REQUESTS, 1, #REQUESTS, 1, {})
      for index = #texts + 1, 120 do
        texts[index] = random_text()
      end
      local expected = outcomes(router.port, texts, whole)
      local in_pieces = outcomes(router.port, texts, random_cuts)
      local in_bytes = outcomes(router.port, texts, bytes_of)
      for index, text in ipairs(texts) do
        local what = ("seed %d: %q"):format(seed, text)
        assert.equal(expected[index], in_pieces[index], what)
        assert.equal(expected[index], in_bytes[index], what)
      end
    end
    assert.equal(200, http.get(router.port, "/ok").status)
  end)
end)
