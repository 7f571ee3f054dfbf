# What make help prints: of each ## comment the target, or the variable, that
# stands below it.

/^## / {
    text[++lines] = substr($0, 4)
    next
}

lines && match($0, /^[A-Za-z_-]+/) {
    name = substr($0, 1, RLENGTH)

    if ($0 ~ /=/)
        variables = variables entry(name)
    else
        printf "%s", entry("make " name)
}

{ lines = 0 }

END { printf "\nWhat may be set, as in make build CC=clang:\n\n%s", variables }

function entry(name, i, out) {
    for (i = 1; i <= lines; i++)
        out = out sprintf("%-17s%s\n", i == 1 ? name : "", text[i])

    return out
}
