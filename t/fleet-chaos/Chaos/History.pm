package Chaos::History;

# What has to be true of a fleet, whatever has happened to it: looked at when
# it is over, in what was written down meanwhile (Chaos::Watch,
# Chaos::Operator, Chaos::World), in the events of all nodes and in the lines
# that nginx logged of requests.
#
# A look says what was so at one moment between its begin and its end. What
# could be told from it only by what two processes did within a moment of each
# other is left out: what is reported here is wrong.

use v5.36;

use JSON::PP ();
use List::Util qw(first max min);

use constant {
    YOUNG   => 3.0,     # s: nothing may rise in younger data
    HEARS   => 0.7,     # s until a node has heard of them, or is isolated
    SLACK   => 0.1,     # s by which two clocks are read differently
    KINDS   => [
        'answers', 'refused', 'If-Match', 'isolated', 'young', 'rolled back',
        'requests', 'records', 'acknowledged', 'steps', 'log',
    ],
    # verbs that put more traffic on the canary, or may
    EXPOSES => { map { $_ => 1 } qw(start direct patch advance resume
                                    promote) },
};

my $json = JSON::PP->new->utf8;


# The directory; names of nodes with the directory of each; and what is to be
# added to a monotonic time for that of the wall.

sub new($class, $dir, $dirs, $wall) {
    my $self = bless { dir => $dir, dirs => $dirs, wall => $wall, found => {},
                       looks => 0 }, $class;

    $self->{requests} = [ map { $json->decode($_) }
                              map { _lines($_) } glob "$dir/operator.*" ];
    $self->{journal} = [ map { [ split /\t/, $_, 2 ] }
                             _lines("$dir/journal") ];
    $self->{redis} = [ map { _redis($_) } _lines("$dir/redis") ];

    for my $name (sort keys %$dirs) {
        my @looks = map { _look($_) } _lines("$dir/node.$name");
        $self->{nodes}{$name} = { looks => \@looks,
                                  events => [ _events($dirs->{$name}) ] };
        $self->{looks} += @looks;
    }
    for my $look (@{ $self->{redis} }) {
        $self->{number}{ $look->{tag} } = $look->{number} if $look->{tag};
    }

    return $self;
}


sub looks($self) { return $self->{looks} }
sub requests($self) { return @{ $self->{requests} } }
sub kinds($self) { return @{ KINDS() } }
sub found($self, $kind) { return @{ $self->{found}{$kind} // [] } }


sub _lines($file) {
    open my $in, '<', $file or return;
    my @lines = <$in>;

    chomp @lines;

    return @lines;
}


# Without those that are void.

sub _events($dir) {
    my @lines = map { $json->decode($_) } map { _lines("$dir/canary/$_") }
        qw(events.jsonl.1 events.jsonl);
    my %void = map { $_->{void} => 1 } grep { $_->{void} } @lines;

    return grep { $_->{type} && !(defined $_->{id} && $void{ $_->{id} }) }
        @lines;
}


sub _look($line) {
    my %look;

    @look{qw(begun ended joined joined_then reached tag phase weight stable
             canary last result)} = split /\t/, $line;

    return \%look;
}


sub _redis($line) {
    my %look;

    (@look{qw(begun ended time seed version born)}, my $record) =
        split /\t/, $line;
    if ($record ne '-') {
        (@look{qw(generation uid number phase weight canary result)}) =
            split / /, $record;
        $look{tag} = "$look{generation}-$look{uid}";
    }

    return \%look;
}


sub _wrong($self, $kind, $text) {
    push @{ $self->{found}{$kind} }, $text;

    return;
}


sub check($self) {
    $self->_answers;
    $self->_refused;
    $self->_matches;
    $self->_records;
    $self->_young_times;
    $self->_acknowledged;
    $self->_steps;

    for my $name (sort keys %{ $self->{nodes} }) {
        $self->_rises($name);
        $self->_rolled_back($name);
        $self->_served($name);
        $self->_logged($name);
    }

    return $self;
}


# In the journal, between two times: was there something like that?

sub _happened($self, $pattern, $from, $to) {
    return first { $_->[0] >= $from && $_->[0] <= $to && $_->[1] =~ $pattern }
        @{ $self->{journal} };
}


# Only these are answers, unless nginx was not there, or was killed.

sub _answers($self) {
    for my $request (@{ $self->{requests} }) {
        my ($status, $name) = @{$request}{qw(status node)};

        next if $status =~ /^(?:200|201|409|412)$/;
        next if $status == 503
            && $request->{body} =~ /"changed":\w+|nothing was changed/;
        next if $status == 0 && $self->_happened(
            qr/^(?:crash|stop|kill worker|hang|upgrade|reload) $name/,
            $request->{begun} - 60, $request->{ended});

        $self->_wrong(answers => sprintf '%.3f %s %s: %s', $request->{begun},
                      $name, $request->{verb},
                      $request->{error} // "$status $request->{body}");
    }

    return;
}


# What was refused has not happened, nor does it later. A weight tells. What a
# stop at the same node has cancelled may have happened for a moment elsewhere.

sub _refused($self) {
    my %seen;

    for my $name (sort keys %{ $self->{nodes} }) {
        my $node = $self->{nodes}{$name};

        $seen{ $_->{weight} + 0 } //= "at $name, $_->{begun}"
            for @{ $node->{looks} };
        $seen{ $_->{to}{weight} + 0 } //= "event $_->{id} of $name"
            for @{ $node->{events} };
    }
    for my $look (grep { $_->{tag} } @{ $self->{redis} }) {
        $seen{ $look->{weight} / 1_000_000 } //= "in Redis, $look->{begun}";
    }

    for my $request (grep { defined $_->{weight} } @{ $self->{requests} }) {
        my $refused = $request->{status} == 412
            || $request->{status} == 409
               && $request->{body} !~ /was cancelled before/
            || $request->{status} == 503
               && $request->{body} =~ /"changed":false|nothing was changed/;
        my $where = $seen{ $request->{weight} + 0 };

        $self->_wrong(refused => sprintf '%.3f %s: %s to %s was answered %s, '
                      . 'but is %s', @{$request}{qw(begun node verb weight
                                                    status)}, $where)
            if $refused && defined $where;
    }

    return;
}


# Of those that expose with one tag, one is done at most.

sub _matches($self) {
    my %done;

    for my $request (@{ $self->{requests} }) {
        next if !defined $request->{match} || $request->{status} !~ /^20/
            || !EXPOSES->{ $request->{verb} };

        push @{ $done{ $request->{match} } }, $request;
    }
    for my $tag (sort keys %done) {
        my @all = @{ $done{$tag} };

        $self->_wrong('If-Match' => "$tag: " . join ', ', map {
            "$_->{verb} at $_->{node}" } @all) if @all > 1;
    }

    return;
}


# In Redis, while no data are lost: generations do not fall, and each has one
# record.

sub _records($self) {
    my ($generation, $seed, %uid) = (0, '');
    my @losses = map { $_->[0] } grep { $_->[1] =~ /^loss/ }
        @{ $self->{journal} };

    for my $look (@{ $self->{redis} }) {
        if (@losses && $losses[0] <= $look->{ended} + SLACK) {
            next if $losses[0] > $look->{begun} - SLACK;
            shift @losses while @losses
                && $losses[0] <= $look->{begun} - SLACK;
            ($generation, %uid) = (0);
        }

        next unless $look->{tag};

        $self->_wrong(records => "$look->{begun}: $look->{tag} after "
                      . "generation $generation")
            if $look->{generation} < $generation;
        $generation = $look->{generation};

        my $before = $uid{$generation} //= $look->{uid};
        $self->_wrong(records => "$look->{begun}: $look->{tag} and "
                      . "$generation-$before")
            if $before ne $look->{uid};
    }

    return;
}


# From when to when data were certainly young, and all nodes knew it, if they
# knew anything: by the clock of those who look, while that of Redis' host
# goes as theirs.

sub _young_times($self) {
    my ($born, @times) = (0);

    for my $look (@{ $self->{redis} }) {
        next if $look->{born} eq '-' || $look->{born} eq $born;
        $born = $look->{born};

        my $end = $look->{begun} + YOUNG - SLACK
            - ($look->{time} - $born) / 1000;

        next if $self->_happened(qr/^clock/, $look->{begun} - 5, $end + 1);

        my $from = $look->{ended} + HEARS;

        push @times, [ $from, $end ] if $from < $end;
    }
    $self->{young} = \@times;

    return;
}


# Of two looks at a node, does the second have more traffic on a canary, or
# promoted it?

sub _rises($self, $name) {
    my $looks = $self->{nodes}{$name}{looks};
    my %known;

    for my $i (1 .. $#$looks) {
        my ($old, $new) = @{$looks}[ $i - 1, $i ];

        $known{ $old->{tag} } = 1;
        next if $old->{tag} eq $new->{tag} && $old->{weight} == $new->{weight};

        my $more = $new->{canary} ne '-'
            && $new->{weight} > ($old->{canary} eq $new->{canary}
                                 ? $old->{weight} : 0)
            || $new->{stable} eq $old->{canary};

        next unless $more;

        my $text = sprintf '%s, %.3f to %.3f: %s %s %s, then %s %s %s', $name,
            $old->{begun}, $new->{ended},
            @{$old}{qw(tag phase weight)}, @{$new}{qw(tag phase weight)};

        # The old nginx of an upgrade follows the file of the new one. What a
        # node had when it began, it holds. What one that is stopped had found
        # out may be old when it goes on.

        next if $self->_during("upgrade $name", "upgraded $name",
                               $new->{ended});

        my $begun = $self->_happened(qr/^begun $name/, $old->{begun} - 60,
                                     $new->{ended});
        my $hung = $self->_during("hang $name", "hang $name ends",
                                  $new->{ended});

        $self->_wrong(isolated => $text)
            if !$old->{reached} && !$new->{reached}
            && $old->{joined} == $new->{joined_then}
            && !($begun && $known{ $new->{tag} });

        $self->_wrong(young => $text)
            if !$hung && !($begun && $known{ $new->{tag} })
            && grep { $_->[0] < $old->{begun} && $new->{ended} < $_->[1] }
            @{ $self->{young} };
    }

    return;
}


# The events of a node, if those of all nodes come to it.

sub _known($self, $name) {
    my @events = @{ $self->{nodes}{$name}{events} };

    return @events if grep { exists $_->{node} } @events;

    return map { @{ $_->{events} } } values %{ $self->{nodes} };
}


# Did that go on at a time, or has it ended less than a second ago?

sub _during($self, $what, $ends, $at) {
    my ($last) = grep { $_->[0] < $at && $_->[1] =~ /^(?:$what|$ends)$/ }
        reverse @{ $self->{journal} };

    return $last && ($last->[1] eq $what || $at - $last->[0] < 1);
}


# What was rolled back has no weight at that node again, unless its promotion
# was adopted, which an event tells.

sub _rolled_back($self, $name) {
    my $looks = $self->{nodes}{$name}{looks};
    my %promoted = map { $_->{state}{event}{rollout} => 1 }
        grep { $_->{type} eq 'promoted' } $self->_known($name);
    my %over;

    for my $look (@$looks) {
        $over{ $look->{last} } = 1 if $look->{result} eq 'rolled_back';

        my $number = $look->{phase} ne 'idle' ? $self->{number}{ $look->{tag} }
            : $look->{result} eq 'promoted' ? $look->{last} : undef;

        next if !defined $number || !$over{$number} || $promoted{$number};

        $self->_wrong('rolled back' => "$name, $look->{begun}: rollout $number"
                      . " $look->{phase} $look->{weight} $look->{tag}");
    }

    return;
}


# Between two looks that have the same, and it is idle, no request is sent to
# a canary.

sub _served($self, $name) {
    my @idle;

    for my $look (@{ $self->{nodes}{$name}{looks} }) {
        if ($look->{phase} ne 'idle') {
            push @idle, undef;

        } elsif (@idle && $idle[-1] && $idle[-1]{tag} eq $look->{tag}) {
            $idle[-1]{end} = $look->{begun};

        } else {
            push @idle, { tag => $look->{tag}, begin => $look->{ended} };
        }
    }
    @idle = grep { $_ && $_->{end} } @idle;

    for my $line (_lines("$self->{dirs}{$name}/requests.log")) {
        my ($end, $seconds, $role, $weight) = split / /, $line;

        $self->{served}++;
        next if $role ne 'canary';

        my $at = $end - $self->{wall} - $seconds;

        shift @idle while @idle && $idle[0]{end} < $at - 10;
        $self->_wrong(requests => sprintf '%s, %.3f: %s', $name, $at, $line)
            if grep { $_->{begin} + SLACK < $at && $at < $_->{end} - SLACK }
            @idle;
    }

    return;
}


# Neither what nodes say to each other, nor the scripts, is wrong.

sub _logged($self, $name) {
    my $wrong = qr/makes\ no\ sense|cannot\ be\ read|cannot\ follow
                   |Redis\ of\ the\ fleet\ at\ "[^"]*":\ ERR/x;

    $self->_wrong(log => "$name: $_")
        for grep { /$wrong/ } _lines("$self->{dirs}{$name}/error.log");

    return;
}


# What was answered as done is in the events of all nodes in the end, and none
# of the rollouts is unknown. An event is found by its type, and by when it
# was: an answer may tell of a later change.

sub _acknowledged($self) {
    my (%known, %event);

    for my $name (sort keys %{ $self->{nodes} }) {
        for my $event (@{ $self->{nodes}{$name}{events} }) {
            my $kept = $event->{state}{event};
            my $key = "$kept->{verb} $kept->{generation} $kept->{time}";

            $known{$key}{$name} = 1;
            $event{$key} = $event;
        }
    }

    my @numbers = map { $_->{state}{event}{rollout} } values %event;

    for my $request (@{ $self->{requests} }) {
        next if $request->{status} !~ /^20/ || !$request->{durable};

        my $text = sprintf '%.3f %s at %s, %s', @{$request}{qw(begun verb node
                                                              etag)};
        my ($tag) = $request->{etag} =~ /"(.*)"/;
        my $number = $self->{number}{ $tag // '' } // 0;

        $self->_wrong(acknowledged => "$text: no rollout $number")
            if $number > max(0, @numbers);

        my ($from, $to) = map { ($_ + $self->{wall}) * 1000 }
            $request->{begun} - SLACK, $request->{ended} + SLACK;
        my @keys = grep {
            my $kept = $event{$_}{state}{event};

            $kept->{verb} eq $request->{verb} && $kept->{actor} eq 'api'
                && $kept->{time} >= $from && $kept->{time} <= $to
        } sort keys %event;

        # a stop that came before what it stops has no event

        $self->_wrong(acknowledged => "$text: no event")
            unless @keys || $request->{verb} =~ /^(?:pause|rollback)$/
                            && $self->_cancels($request);

        next if @keys != 1 || !exists $event{ $keys[0] }{node};

        my @missing = grep { !$known{ $keys[0] }{$_} }
            sort keys %{ $self->{nodes} };

        $self->_wrong(acknowledged => "$text: is not in the events of "
                      . join ' ', @missing) if @missing;
    }

    return;
}


sub _cancels($self, $stop) {
    return first {
        $_->{status} == 409 && $_->{body} =~ /was cancelled before/
            && $_->{begun} < $stop->{ended} && $_->{ended} > $stop->{begun}
    } @{ $self->{requests} };
}


# A step goes from one weight to the next, once; more than once if somebody has
# set another weight.

sub _steps($self) {
    my (%steps, %taken, %told, %patched);

    for my $request (grep { $_->{verb} eq 'start' } @{ $self->{requests} }) {
        $steps{ $request->{weight} + 0 } = $request->{steps};
    }

    for my $event (map { @{ $_->{events} } } values %{ $self->{nodes} }) {
        my $kept = $event->{state}{event};

        $told{ $kept->{rollout} } = $steps{ $event->{to}{weight} + 0 }
            if $kept->{verb} eq 'start';
        $patched{ $kept->{rollout} } = 1 if $kept->{verb} eq 'patch';
    }

    for my $name (sort keys %{ $self->{nodes} }) {
        for my $event (@{ $self->{nodes}{$name}{events} }) {
            my $kept = $event->{state}{event};
            my $number = $kept->{rollout};
            my $to = $event->{to}{weight} + 0;

            next if $kept->{verb} ne 'step' || !$told{$number};

            my @list = map { $_ + 0 } @{ $told{$number} };
            my ($at) = grep { $list[$_] == $event->{from}{weight} } 0 .. $#list;

            $self->_wrong(steps => "$name, event $event->{id}: rollout $number"
                          . ", $event->{from}{weight} to $to")
                if defined $at && $to != ($list[ $at + 1 ] // 1);

            my $by = $taken{"$number $to"} //= $kept->{generation};

            $self->_wrong(steps => "$name: rollout $number, to $to at "
                          . "generations $by and $kept->{generation}")
                if $by != $kept->{generation} && !$patched{$number};
        }
    }

    return;
}


1;
