-- UTF-8 decoding with replacement, as the Encoding standard does it: each maximal part that begins a
-- character but does not end one becomes one U+FFFD.

local M = {}

local replacement = "\u{FFFD}"

--- What a lead byte asks for: how many bytes follow, and the range of the first of them.
local function expectation(lead)
  if lead >= 0xC2 and lead <= 0xDF then
    return 1, 0x80, 0xBF
  elseif lead >= 0xE0 and lead <= 0xEF then
    return 2, lead == 0xE0 and 0xA0 or 0x80, lead == 0xED and 0x9F or 0xBF
  elseif lead >= 0xF0 and lead <= 0xF4 then
    return 3, lead == 0xF0 and 0x90 or 0x80, lead == 0xF4 and 0x8F or 0xBF
  end
  return 0
end

--- The end of the bytes from `at` on that belong together, and whether they are a whole character.
local function sequence(bytes, at)
  local lead = bytes:byte(at)
  if lead < 0x80 then
    return at, true
  end
  local count, low, high = expectation(lead)
  local last = at
  for _ = 1, count do
    local byte = bytes:byte(last + 1)
    if not byte or byte < low or byte > high then
      return last, false
    end
    last, low, high = last + 1, 0x80, 0xBF
  end
  return last, count > 0
end

---@param bytes string
---@return string text valid UTF-8
---@return boolean valid whether nothing had to be replaced
function M.decode(bytes)
  if utf8.len(bytes) then
    return bytes, true
  end
  local parts, at = {}, 1
  while at <= #bytes do
    local last, whole = sequence(bytes, at)
    parts[#parts + 1] = whole and bytes:sub(at, last) or replacement
    at = last + 1
  end
  return table.concat(parts), false
end

return M
